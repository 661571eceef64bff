# SPDX-License-Identifier: Apache-2.0
"""The examples that act, against recorded messages of a table with eleven things on it."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from amodal_msgs.msg import AmodalMaskArray
from moveit_msgs.msg import CollisionObject
from vision_msgs.msg import Detection3DArray

from tests.ros.ros_rig import START_S

ROOT = Path(__file__).parents[2]
RECORDED = json.loads((Path(__file__).parent / "recorded" / "table.json").read_text())


def fill(message, values: dict):
    """Set the fields of a message from plain values."""
    for name, value in values.items():
        kind = message.get_fields_and_field_types()[name]
        if isinstance(value, dict):
            fill(getattr(message, name), value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            package, _, entry = kind.removeprefix("sequence<").rstrip(">").partition("/")
            entries = getattr(import_module(f"{package}.msg"), entry)
            setattr(message, name, [fill(entries(), part) for part in value])
        elif isinstance(getattr(message, name), np.ndarray):
            setattr(message, name, np.array(value))
        else:
            setattr(message, name, value)
    return message


@pytest.fixture(scope="module")
def masks() -> AmodalMaskArray:
    return fill(AmodalMaskArray(), RECORDED["masks"])


@pytest.fixture(scope="module")
def boxes() -> Detection3DArray:
    return fill(Detection3DArray(), RECORDED["boxes"])


def example(name: str):
    """An example's module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["moveit_scene", "take_first"])
def test_they_are_short(name):
    assert len((ROOT / "examples" / f"{name}.py").read_text().splitlines()) < 80


def test_what_to_take_first(masks):
    take_first = example("take_first")
    hidden_by = {
        mask.class_id: [masks.masks[place].class_id for place in mask.occluder_indices]
        for mask in masks.masks
    }
    wanted = "white_yellow_mug"
    assert len(hidden_by[wanted]) >= 2
    line = take_first.advice(masks, wanted)
    order = [entry.rsplit(" ", 1)[0] for entry in line.removeprefix("take ").split(", then ")]
    assert order[-1] == wanted
    assert set(hidden_by[wanted]) <= set(order[:-1])
    for name in order:  # nothing is taken before what lies on it
        lying = [other for other in hidden_by[name] if other in order]
        assert all(order.index(other) < order.index(name) for other in lying)
    assert take_first.advice(masks, "piano") == "no piano in sight"


def test_what_is_free(masks):
    line = example("take_first").advice(masks)
    free = [entry.rsplit(" ", 1)[0] for entry in line.removeprefix("free: ").split(", ")]
    assert set(free) == {mask.class_id for mask in masks.masks if mask.layer == 0}
    assert free[0] == "black_book", "it hides most of a mug, a packet and a bowl"
    assert example("take_first").advice(AmodalMaskArray()) == "free: nothing"


def test_a_cycle_ends(masks):
    """Two sticks that each lie on the other."""
    woven = AmodalMaskArray()
    for number in range(2):
        mask = type(masks.masks[0])(class_id=f"stick{number}", track_id=number)
        mask.occlusion_rate, mask.occluder_shares = 0.2, [1.0]
        mask.occluder_indices, mask.occluder_track_ids = [1 - number], [1 - number]
        woven.masks.append(mask)
    line = example("take_first").advice(woven, "stick0")
    assert line == "take stick1 1, then stick0 0"


def run(name: str, publish, until, tmp_path: Path) -> str:
    """Run an example until something is true; its output."""
    log = tmp_path / "output.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / f"{name}.py")], stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + START_S
        while not until(log.read_text()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            publish()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    return log.read_text()


def test_take_first_prints_a_line_for_each_message(make_node, tmp_path, masks):
    publisher = make_node().create_publisher(AmodalMaskArray, "amodal/masks", 10)

    def publish():
        publisher.publish(masks)
        time.sleep(0.1)

    output = run("take_first", publish, lambda text: "free: " in text, tmp_path)
    assert set(output.splitlines()) == {example("take_first").advice(masks)}


def test_whole_objects_come_into_moveits_scene_and_go(make_node, context, tmp_path, boxes):
    from rclpy.executors import SingleThreadedExecutor

    node = make_node()
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    scene: dict[str, CollisionObject] = {}
    removed: set[str] = set()

    def take(message: CollisionObject) -> None:
        if message.operation == CollisionObject.REMOVE:
            removed.add(message.id)
            scene.pop(message.id, None)
        else:
            scene[message.id] = message

    node.create_subscription(CollisionObject, "/collision_object", take, 100)
    publisher = node.create_publisher(Detection3DArray, "amodal/detections_3d", 10)
    fewer = Detection3DArray(header=boxes.header, detections=boxes.detections[1:])

    def publish():
        publisher.publish(boxes if len(scene) < len(boxes.detections) and not removed else fewer)
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.02)

    output = run("moveit_scene", publish, lambda _: removed, tmp_path)
    assert f"amodal_{boxes.detections[1].id}: " in output
    assert removed == {f"amodal_{boxes.detections[0].id}"}
    assert set(scene) == {f"amodal_{detection.id}" for detection in fewer.detections}
    for detection in fewer.detections:
        collision = scene[f"amodal_{detection.id}"]
        assert collision.header.frame_id == "base_link"
        assert collision.pose == detection.bbox.center
        assert collision.type.key == detection.results[0].hypothesis.class_id
        (shape,), size = collision.primitives, detection.bbox.size
        assert shape.type == shape.BOX
        grown = np.array(shape.dimensions) - (size.x, size.y, size.z)
        assert (grown > 0.002).all()
        assert (grown < 0.15).all()
