# SPDX-License-Identifier: Apache-2.0
"""Boxes and points of whole objects to messages: detections, clouds, markers."""

from __future__ import annotations

import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Pose
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray

from amodal_ros.depth.box import ObjectBox
from amodal_ros.depth.camera import quaternion_xyzw
from amodal_ros.ros.outputs.overlay import object_colour
from amodal_ros.tracking.tracker import TrackedObject

POINT = np.dtype(
    {
        "names": ["x", "y", "z", "track_id", "occluded"],
        "formats": ["<f4", "<f4", "<f4", "<i4", "u1"],
        "offsets": [0, 4, 8, 12, 16],
        "itemsize": 20,
    }
)
_FIELD_TYPES = {"f4": PointField.FLOAT32, "i4": PointField.INT32, "u1": PointField.UINT8}
_BOX_OPACITY = 0.4
_LEAST_SIDE_M = 0.001  # RViz refuses boxes without a side
_TEXT_M = 0.03


@dataclass(frozen=True)
class LocatedObject:
    """An object and where it is; ``box`` is None where its depth is not known."""

    tracked: TrackedObject
    box: ObjectBox | None


@dataclass(frozen=True, eq=False)
class ObjectCloud:
    """Points of one object in the published frame.

    Attributes:
        track_id: of the object.
        visible_xyz: (M, 3) float32 metres, measured.
        occluded_xyz: (K, 3) float32 metres, estimated.
    """

    track_id: int
    visible_xyz: np.ndarray
    occluded_xyz: np.ndarray


def boxes_3d_message(located: Sequence[LocatedObject], header: Header) -> Detection3DArray:
    """The boxes of all objects whose depth is known; ``id`` is the track's."""
    message = Detection3DArray(header=header)
    for entry in located:
        if entry.box is None:
            continue
        detection = Detection3D(header=header, id=str(entry.tracked.track_id))
        detection.bbox.center = _pose(entry.box)
        size = detection.bbox.size
        size.x, size.y, size.z = map(float, entry.box.size_xyz)
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = entry.tracked.class_id
        hypothesis.hypothesis.score = float(entry.tracked.score)
        hypothesis.pose.pose = detection.bbox.center
        hypothesis.pose.covariance = entry.box.covariance.ravel()
        detection.results = [hypothesis]
        message.detections.append(detection)
    return message


def markers_message(located: Sequence[LocatedObject], header: Header) -> MarkerArray:
    """For RViz: a box and a label of each object, in the colour of its track.

    The first marker takes away those of the frame before.
    """
    message = MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])
    for entry in located:
        if entry.box is None:
            continue
        box, track_id = entry.box, entry.tracked.track_id
        cube = Marker(header=header, ns="amodal_boxes", id=track_id, type=Marker.CUBE)
        cube.pose = _pose(box)
        sides = np.maximum(box.size_xyz, _LEAST_SIDE_M)
        cube.scale.x, cube.scale.y, cube.scale.z = map(float, sides)
        red, green, blue = object_colour(track_id)
        cube.color.r, cube.color.g, cube.color.b = red / 255, green / 255, blue / 255
        cube.color.a = _BOX_OPACITY
        label = Marker(
            header=header, ns="amodal_labels", id=track_id, type=Marker.TEXT_VIEW_FACING
        )
        label.pose.position = cube.pose.position
        label.scale.z = _TEXT_M
        label.color.r = label.color.g = label.color.b = label.color.a = 1.0
        label.text = f"{entry.tracked.class_id or '?'} {track_id}"
        message.markers += [cube, label]
    return message


def cloud_message(clouds: Sequence[ObjectCloud], header: Header) -> PointCloud2:
    """One cloud of all objects; fields as ``POINT``."""
    points = np.zeros(
        sum(len(cloud.visible_xyz) + len(cloud.occluded_xyz) for cloud in clouds), POINT
    )
    start = 0
    for cloud in clouds:
        for occluded, part in enumerate((cloud.visible_xyz, cloud.occluded_xyz)):
            rows = points[start : start + len(part)]
            for axis, name in enumerate("xyz"):
                rows[name] = part[:, axis]
            rows["track_id"] = cloud.track_id
            rows["occluded"] = occluded
            start += len(rows)
    data = array.array("B")
    data.frombytes(points.tobytes())
    return PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=[_field(name) for name in POINT.names or ()],
        is_bigendian=False,
        point_step=POINT.itemsize,
        row_step=POINT.itemsize * len(points),
        data=data,
        is_dense=True,
    )


def _pose(box: ObjectBox) -> Pose:
    pose = Pose()
    position, turn = pose.position, pose.orientation
    position.x, position.y, position.z = map(float, box.centre_xyz)
    turn.x, turn.y, turn.z, turn.w = map(float, quaternion_xyzw(box.rotation))
    return pose


def _field(name: str) -> PointField:
    kind, offset = POINT.fields[name][:2]  # type: ignore[index]
    return PointField(name=name, offset=offset, datatype=_FIELD_TYPES[kind.str[1:]], count=1)
