# SPDX-License-Identifier: Apache-2.0
"""Boxes of yolo_ros (``yolo_msgs/DetectionArray``) as ``vision_msgs/Detection2DArray``."""

from __future__ import annotations

import importlib
from typing import Any

from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from amodal_ros.errors import InvalidInputError


def yolo_message_type() -> type:
    """``yolo_msgs/DetectionArray``, which is imported only here and only when it is asked for.

    Raises:
        InvalidInputError: if ``yolo_msgs`` is not installed.
    """
    try:
        # By name: the package is no dependency, since who has no yolo_ros needs none of it.
        messages = importlib.import_module("yolo_msgs.msg")
    except ImportError as error:
        raise InvalidInputError(
            "parameter detections_type is 'yolo_msgs', but that package cannot be imported "
            f"({error}); build yolo_ros in this workspace, or let its boxes come as vision_msgs"
        ) from error
    return messages.DetectionArray


def boxes_from_yolo(message: Any) -> Detection2DArray:
    """Convert the boxes; masks, key points and 3D boxes are left out.

    The class is ``class_name``, or the number ``class_id`` where the detector sends no name.
    ``id``, which yolo_ros fills when it tracks, becomes the detection's id.

    Args:
        message: ``yolo_msgs/DetectionArray``. Its boxes are ``yolo_msgs/BoundingBox2D`` (``size``
            with ``x`` and ``y``) or, in some versions, ``vision_msgs/BoundingBox2D``.
    """
    converted = Detection2DArray(header=message.header)
    converted.detections = [_detection(entry, message.header) for entry in message.detections]
    return converted


def _detection(entry: Any, header: Any) -> Detection2D:
    detection = Detection2D(header=header, id=entry.id)
    box, center = entry.bbox, detection.bbox.center
    center.position.x = float(box.center.position.x)
    center.position.y = float(box.center.position.y)
    center.theta = float(box.center.theta)
    if hasattr(box, "size"):
        detection.bbox.size_x, detection.bbox.size_y = float(box.size.x), float(box.size.y)
    else:
        detection.bbox.size_x, detection.bbox.size_y = float(box.size_x), float(box.size_y)
    hypothesis = ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = entry.class_name or str(entry.class_id)
    hypothesis.hypothesis.score = float(entry.score)
    detection.results = [hypothesis]
    return detection
