# SPDX-License-Identifier: Apache-2.0
"""Boxes of a recording as `vision_msgs/Detection2DArray`, whichever version recorded them."""

from __future__ import annotations

from typing import Any

from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.definitions import Decoder, decoder_of
from amodal_ros.ros.bag.storage import BagTopic
from amodal_ros.ros.bag.topics import YOLO_BOXES
from amodal_ros.ros.convert.stamps import ns_to_stamp, stamp_to_ns
from amodal_ros.ros.convert.yolo import boxes_from_yolo


def boxes_decoder(topic: BagTopic) -> Decoder:
    """What makes a `Detection2DArray` of a message's bytes.

    Raises:
        InvalidInputError: here, if the type cannot be read; when called, if a message cannot.
    """
    decode = decoder_of(topic)

    def boxes(data: bytes) -> Detection2DArray:
        try:
            message = decode(data)
            if isinstance(message, Detection2DArray):
                return message
            message.header = real_header(message.header)
            if topic.type == YOLO_BOXES:
                return boxes_from_yolo(message)
            return _from_other_version(message)
        except Exception as error:  # damaged bytes, or fields that no known version has
            raise InvalidInputError(
                f"a message on {topic.name} ({topic.type}) cannot be read: {error}"
            ) from error

    return boxes


def inner_stamp_ns(boxes: Detection2DArray) -> int:
    """The one stamp of the boxes themselves, for a message without one; else 0."""
    stamps = {stamp_to_ns(detection.header.stamp) for detection in boxes.detections}
    return stamps.pop() if len(stamps) == 1 else 0


def real_header(header: Any) -> Header:
    """An installed `Header` with the content of any object that has its fields."""
    return Header(stamp=ns_to_stamp(stamp_to_ns(header.stamp)), frame_id=header.frame_id)


def _from_other_version(message: Any) -> Detection2DArray:
    """vision_msgs before 4.0: the centre is a `Pose2D`, hypotheses are flat."""
    converted = Detection2DArray(header=message.header)
    for entry in message.detections:
        detection = Detection2D(
            header=real_header(entry.header),
            id=str(getattr(entry, "id", getattr(entry, "tracking_id", ""))),
        )
        centre = getattr(entry.bbox.center, "position", entry.bbox.center)
        detection.bbox.center.position.x = float(centre.x)
        detection.bbox.center.position.y = float(centre.y)
        detection.bbox.center.theta = float(entry.bbox.center.theta)
        detection.bbox.size_x = float(entry.bbox.size_x)
        detection.bbox.size_y = float(entry.bbox.size_y)
        for result in entry.results:
            given = getattr(result, "hypothesis", result)
            hypothesis = ObjectHypothesisWithPose()
            hypothesis.hypothesis.class_id = str(
                getattr(given, "class_id", getattr(given, "id", ""))
            )
            hypothesis.hypothesis.score = float(given.score)
            detection.results.append(hypothesis)
        converted.detections.append(detection)
    return converted
