# SPDX-License-Identifier: Apache-2.0
"""What the writer of recordings leaves in a file."""

from __future__ import annotations

from pathlib import Path

from mcap.reader import make_reader

from amodal_ros.ros.bag.reader import Bag
from amodal_ros.ros.bag.storage import BagTopic
from amodal_ros.ros.bag.writer import BagWriter
from tests.ros.bag.bag_rig import BOXES, boxes, stamp_ns

FOUND = "/amodal/detections"


def test_two_versions_of_a_type_keep_their_definitions(tmp_path: Path) -> None:
    """Boxes of a vision_msgs before 4.0 are copied beside those that are written."""
    old = BagTopic(BOXES, "vision_msgs/msg/Detection2DArray", 1, "string old", "ros2msg")
    path = tmp_path / "out.mcap"
    with path.open("wb") as file:
        writer = BagWriter(file)
        writer.write(old, stamp_ns(0), b"")
        writer.write_message(FOUND, stamp_ns(0), boxes(0))
        writer.write(old, stamp_ns(1), b"")
        writer.finish()
    with path.open("rb") as file:
        found = [(s.data, c.topic) for s, c, _ in make_reader(file).iter_messages()]
    assert [data == b"string old" for data, _ in found] == [t == BOXES for _, t in found]
    with Bag(path) as bag:
        assert [topic.definition == "string old" for topic in bag.topics] == [False, True]
