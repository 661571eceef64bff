# SPDX-License-Identifier: Apache-2.0
"""The perception node as a process of its own: starts, answers, refuses, ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lifecycle_msgs.srv import GetState

from amodal_ros.model_folder.manifest import default_model_dir
from amodal_ros.ros.convert.masks import decode_masks
from tests.ros.ros_rig import START_S, Camera, picture

ROOT = Path(__file__).parents[3]
BOX = (40.0, 40.0, 120.0, 100.0)
FAKE_NODE = """
import sys
from amodal_ros.ros.node.node_process import run_lifecycle_node
from amodal_ros.ros.node.perception_node import PerceptionNode
from tests.ros.ros_rig import FakePredictor

class Slow(FakePredictor):
    def __init__(self):
        super().__init__()
        self.delay_s = {delay_s}
    def warm_up(self):
        import time; time.sleep({warm_up_s})

sys.exit(run_lifecycle_node(
    lambda: PerceptionNode(lambda parameters: Slow()), None, lambda node: node.autostart
))
"""


class Process:
    """A node's process with its output in a file."""

    def __init__(self, log: Path, code: list[str], parameters: dict[str, object]) -> None:
        arguments = ["--ros-args"] if parameters else []
        for name, value in parameters.items():
            arguments += ["-p", f"{name}:={json.dumps(value)}"]
        self._log = log
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, *code, *arguments],
                cwd=ROOT,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + START_S
        while text not in self.output:
            assert self.popen.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def end(self, number: int = signal.SIGINT) -> tuple[int, float]:
        """Exit code, and seconds from signal to end."""
        start = time.monotonic()
        self.popen.send_signal(number)
        return self.popen.wait(30), time.monotonic() - start

    def exit_code(self) -> int:
        return self.popen.wait(START_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    processes: list[Process] = []

    def make(code: list[str] | None = None, **parameters: object) -> Process:
        module = ["-m", "amodal_ros.ros.node.perception_node"]
        log = tmp_path / f"node{len(processes)}.log"
        processes.append(Process(log, code or module, parameters))
        return processes[-1]

    yield make
    for process in processes:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()


@pytest.fixture
def camera(context) -> Iterator[Camera]:
    own = Camera(context)
    yield own
    own.close()


def connect(camera: Camera) -> None:
    """Send frames without objects until one is answered: then both directions are matched."""
    deadline = time.monotonic() + START_S
    while not camera.answers:
        assert time.monotonic() < deadline, "no answer"
        camera.send(picture(), [])
        camera.spin_for(0.3)


def fake(delay_s: float = 0.0, warm_up_s: float = 0.0) -> list[str]:
    return ["-c", FAKE_NODE.format(delay_s=delay_s, warm_up_s=warm_up_s)]


FROZEN = """
import gc, threading, time

def tell():
    while not gc.get_freeze_count():
        time.sleep(0.05)
    print("searched no more:", gc.get_freeze_count() > len(gc.get_objects()), flush=True)

threading.Thread(target=tell, daemon=True).start()
"""


def test_what_was_imported_is_not_searched_for_circles(start: Callable[..., Process]) -> None:
    """To search it stops all threads of the process for longer than half a frame."""
    node = start(["-c", FROZEN + FAKE_NODE.format(delay_s=0, warm_up_s=0)], autostart=False)
    node.wait_for("searched no more: True")


def test_the_model_answers_with_the_header_of_each_image(start, camera):
    """Two processes, real DDS, the committed model."""
    process = start(threads=2)
    process.wait_for("active: images from /camera/image_raw")
    connect(camera)
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(start, camera, number):
    process = start(fake())
    process.wait_for("active")
    connect(camera)
    camera.ask(picture(), [BOX])
    code, seconds = process.end(number)
    assert code == 0, process.output
    assert seconds < 2.0
    assert "Traceback" not in process.output


def check_gone(camera: Camera) -> None:
    """The node took leave: without that, others take it for alive for some twenty seconds."""
    camera.wait(lambda: "amodal_perception" not in camera.node.get_node_names(), "the leave", 5.0)


def test_a_signal_in_the_middle_of_a_long_frame(start, camera):
    process = start(fake(delay_s=20.0))
    process.wait_for("active")
    connect(camera)
    camera.send(picture(), [BOX])
    camera.spin_for(0.5)
    code, seconds = process.end()
    assert code == 0, process.output
    assert seconds < 2.0
    check_gone(camera)


def test_a_signal_while_the_model_is_loaded(start, camera):
    process = start(fake(warm_up_s=20.0))
    camera.wait(lambda: "amodal_perception" in camera.node.get_node_names(), "the node", START_S)
    camera.spin_for(1.0)
    assert "active" not in process.output
    code, seconds = process.end()
    assert code == 0, process.output
    assert seconds < 2.0
    check_gone(camera)


def test_without_autostart_it_waits_unconfigured(start, camera):
    process = start(fake(), autostart=False)
    state = camera.call(GetState, "amodal_perception/get_state", GetState.Request())
    assert state.current_state.label == "unconfigured"
    assert camera.change_state(1)
    assert camera.change_state(3)
    connect(camera)
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
    process = start(**parameters)
    assert process.exit_code() == 1
    lines = [line for line in process.output.splitlines() if "FATAL" in line]
    assert len(lines) == 1, process.output
    assert text in lines[0]
    assert "Traceback" not in process.output


def test_ros_arguments_that_cannot_be_read(start):
    process = start(["-m", "amodal_ros.ros.node.perception_node", "--ros-args", "-p", "cameras:="])
    assert process.exit_code() == 1
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
    process = start(model_dir=str(model))
    assert process.exit_code() == 1
    (line,) = [line for line in process.output.splitlines() if "FATAL" in line]
    assert name in line
    assert "Traceback" not in process.output
