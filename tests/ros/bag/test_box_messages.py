# SPDX-License-Identifier: Apache-2.0
"""Boxes of other versions and packages are read by the recording's own definition."""

from __future__ import annotations

from typing import Any

import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.storage import BagTopic
from amodal_ros.ros.bag.topics import boxes_decoder
from tests.ros.bag.bag_rig import boxes, plain

OLD_BOXES = """std_msgs/Header header
vision_msgs/Detection2D[] detections
{rule}
MSG: vision_msgs/Detection2D
std_msgs/Header header
vision_msgs/ObjectHypothesisWithPose[] results
vision_msgs/BoundingBox2D bbox
bool is_tracking
string tracking_id
{rule}
MSG: vision_msgs/ObjectHypothesisWithPose
string id
float64 score
{rule}
MSG: vision_msgs/BoundingBox2D
geometry_msgs/Pose2D center
float64 size_x
float64 size_y
{rule}
MSG: geometry_msgs/Pose2D
float64 x
float64 y
float64 theta
{rule}
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
""".replace("{rule}", "=" * 80)

YOLO_BOXES = """std_msgs/Header header
yolo_msgs/Detection[] detections
{rule}
MSG: yolo_msgs/Detection
int32 class_id
string class_name
float64 score
string id
yolo_msgs/BoundingBox2D bbox
{rule}
MSG: yolo_msgs/BoundingBox2D
yolo_msgs/Pose2D center
yolo_msgs/Vector2 size
{rule}
MSG: yolo_msgs/Pose2D
yolo_msgs/Point2D position
float64 theta
{rule}
MSG: yolo_msgs/Point2D
float64 x
float64 y
{rule}
MSG: yolo_msgs/Vector2
float64 x
float64 y
{rule}
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
""".replace("{rule}", "=" * 80)


YOLO = "yolo_msgs/msg/DetectionArray"


def yolo_boxes(frame: int) -> dict[str, Any]:
    """What `boxes` has, as yolo_ros says it: nested dictionaries and lists."""
    (expected,) = boxes(frame).detections
    box = expected.bbox
    centre = {"x": box.center.position.x, "y": box.center.position.y}
    entry = {"class_id": 3, "class_name": "cup", "score": 0.9, "id": "cup1"}
    entry["bbox"] = {
        "center": {"position": centre, "theta": 0.0},
        "size": {"x": box.size_x, "y": box.size_y},
    }
    return {"header": plain(boxes(frame).header), "detections": [entry]}


@pytest.mark.parametrize(
    ("kind", "definition"),
    [
        ("vision_msgs/msg/Detection2DArray", OLD_BOXES),
        (YOLO, YOLO_BOXES),
    ],
)
def test_boxes_are_read_by_the_recordings_own_definition(kind, definition):
    """Of a vision_msgs before 4.0, and of yolo_msgs, which need not be installed."""
    from mcap_ros2._dynamic import serialize_dynamic

    (expected,) = boxes(0).detections
    box, head = expected.bbox, plain(boxes(0).header)
    content = yolo_boxes(0)
    if kind != YOLO:
        centre = {"x": box.center.position.x, "y": box.center.position.y}
        entry = {"header": head, "results": [{"id": "cup", "score": 0.9}], "is_tracking": True}
        entry["tracking_id"] = "cup1"
        entry["bbox"] = {"center": {**centre, "theta": 0.0}}
        entry["bbox"] |= {"size_x": box.size_x, "size_y": box.size_y}
        content = {"header": head, "detections": [entry]}
    encode = serialize_dynamic(kind, definition)[kind]
    data = encode(content)
    decode = boxes_decoder(BagTopic("/boxes", kind, 1, definition, "ros2msg"))
    assert decode(data) == boxes(0)
    with pytest.raises(InvalidInputError, match=r"a message on /boxes .* cannot be read"):
        decode(data[:30])


def test_a_type_that_nobody_knows_is_refused():
    topic = BagTopic("/boxes", "yolo_msgs/msg/DetectionArray", 1)
    with pytest.raises(InvalidInputError, match="neither installed nor defined in the recording"):
        boxes_decoder(topic)
