# SPDX-License-Identifier: Apache-2.0
"""The perception node as a process of its own: starts, answers, refuses, ends."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from lifecycle_msgs.srv import GetState

from amodal_ros.model_folder.manifest import default_model_dir
from amodal_ros.ros.convert.masks import decode_masks
from tests.ros.faults.fault_rig import FAKE_NODE, REAL_NODE, NodeProcess
from tests.ros.ros_rig import START_S, picture

BOX = (40.0, 40.0, 120.0, 100.0)
FROZEN = """
import gc, threading, time

def tell():
    while not gc.get_freeze_count():
        time.sleep(0.05)
    print("searched no more:", gc.get_freeze_count() > len(gc.get_objects()), flush=True)

threading.Thread(target=tell, daemon=True).start()
import runpy
runpy.run_module("tests.ros.faults.fake_node", run_name="__main__")
"""

CANNOT_END = """
from amodal_ros.ros.node import perception_node

def fails(node):
    raise KeyError("a bug of the end")

perception_node.PerceptionNode.trigger_shutdown = fails
perception_node.main()
"""


def test_what_was_imported_is_not_searched_for_circles(start: Callable[..., NodeProcess]) -> None:
    """To search it stops all threads of the process for longer than half a frame."""
    node = start("-c", FROZEN, autostart=False)
    node.wait_for("searched no more: True")


def test_the_model_answers_with_the_header_of_each_image(start, camera):
    """Two processes, real DDS, the committed model."""
    process = start("-m", REAL_NODE, threads=2)
    process.wait_for("active: images from /camera/image_raw")
    camera.connect()
    for frame in range(2):
        rgb = picture(150, 200, seed=frame) // 4
        rgb[40:100, 40:120] = (200, 60, 40)
        header = camera.send(rgb, [BOX, (100, 20, 180, 140)], ids=["red", "noise"])
        answer = camera.wait_answer(header)
        assert (answer.height, answer.width) == rgb.shape[:2]
        assert all(mask.mask.header == header for mask in answer.masks)
        objects = {entry.detection_id: entry for entry in decode_masks(answer)}
        assert objects
        assert set(objects) <= {"red", "noise"}
        for entry in objects.values():
            assert entry.amodal_mask.any()
            assert not (entry.visible_mask & ~entry.amodal_mask).any()
            assert 0 <= entry.predicted_iou <= 1.2
    empty = camera.ask(rgb, [])
    assert all(mask.coasting for mask in empty.masks)
    code, seconds = process.end(signal.SIGTERM)
    assert code == 0, process.output
    assert seconds < 2.0


def test_a_signal_while_the_model_is_loaded(start, camera):
    process = start("-m", FAKE_NODE, "20")
    camera.wait(lambda: "amodal_perception" in camera.node.get_node_names(), "the node", START_S)
    camera.spin_for(1.0)
    assert "active" not in process.output
    code, seconds = process.end()
    assert code == 0, process.output
    assert seconds < 2.0
    # The node took leave: without that, others take it for alive for some twenty seconds.
    camera.wait(lambda: "amodal_perception" not in camera.node.get_node_names(), "the leave", 5.0)


def test_without_autostart_it_waits_unconfigured(start, camera):
    process = start(autostart=False)
    state = camera.call(GetState, "amodal_perception/get_state", GetState.Request())
    assert state.current_state.label == "unconfigured"
    assert camera.change_state(1)
    assert camera.change_state(3)
    camera.connect()
    assert len(camera.ask(picture(), [BOX]).masks) == 1
    assert process.end()[0] == 0


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"image_reliability": "maybe"}, "image_reliability is 'maybe'"),
        ({"slopp": 0.1}, "unknown parameter slopp, expected some of model_dir"),
        ({"threads": -3}, "threads is -3 (int), expected a whole number from 0 to 256"),
        ({"model_dir": "/no/such/folder"}, "/no/such/folder"),
    ],
)
def test_what_cannot_start_says_why_and_ends_with_one(start, parameters, text):
    process = start("-m", REAL_NODE, **parameters)
    assert process.popen.wait(START_S) == 1
    lines = [line for line in process.output.splitlines() if "FATAL" in line]
    assert len(lines) == 1, process.output
    assert text in lines[0]
    assert "Traceback" not in process.output


def test_a_process_whose_node_cannot_be_shut_down_ends(start):
    process = start("-c", CANNOT_END, model_dir="/no/such/folder")
    assert process.popen.wait(START_S) == 1
    assert "a bug of the end" in process.output


def test_ros_arguments_that_cannot_be_read(start):
    process = start("-m", REAL_NODE, "--ros-args", "-p", "cameras:=")
    assert process.popen.wait(START_S) == 1
    (line,) = [line for line in process.output.splitlines() if "FATAL" in line]
    assert "cannot start: " in line
    assert "cameras:=" in line
    assert "Traceback" not in process.output


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def alter(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0xFF]))


@pytest.mark.parametrize("damage", [Path.unlink, truncate, alter], ids=["gone", "cut", "altered"])
@pytest.mark.parametrize("name", ["suffix.onnx", "manifest.json"])
def test_a_damaged_model_is_refused_by_name(start, tmp_path, damage, name):
    model = tmp_path / "model"
    shutil.copytree(default_model_dir(), model)
    damage(model / name)
    process = start("-m", REAL_NODE, model_dir=str(model))
    assert process.popen.wait(START_S) == 1
    (line,) = [line for line in process.output.splitlines() if "FATAL" in line]
    assert name in line
    assert "Traceback" not in process.output
