# SPDX-License-Identifier: Apache-2.0
"""Tracked objects to ``vision_msgs/Detection2DArray``: for programs that need boxes alone."""

from __future__ import annotations

from collections.abc import Sequence

from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from amodal_ros.tracking.tracker import TrackedObject


def amodal_boxes_message(objects: Sequence[TrackedObject], header: Header) -> Detection2DArray:
    """The amodal box of each object whose mask is not empty; ``id`` is the track's.

    Args:
        objects: of one image.
        header: the source image's.
    """
    message = Detection2DArray(header=header)
    for tracked in objects:
        x0, y0, x1, y1 = tracked.amodal_box_xyxy
        if x0 == x1:
            continue
        detection = Detection2D(header=header, id=str(tracked.track_id))
        detection.bbox.center.position.x = (x0 + x1) / 2
        detection.bbox.center.position.y = (y0 + y1) / 2
        detection.bbox.size_x, detection.bbox.size_y = float(x1 - x0), float(y1 - y0)
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = tracked.class_id
        hypothesis.hypothesis.score = float(tracked.score)
        detection.results = [hypothesis]
        message.detections.append(detection)
    return message
