# SPDX-License-Identifier: Apache-2.0
"""Depth images and intrinsics from messages; 3D boxes and point clouds to messages."""

from __future__ import annotations

import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection3D,
    Detection3DArray,
    ObjectHypothesisWithPose,
)

from amodal_ros.depth import (
    AmodalExtent,
    ObjectCloud,
    PinholeCamera,
    depth_in_metres,
)
from amodal_ros.errors import InvalidInputError
from amodal_ros.tracking.tracker import TrackedObject

_DTYPES = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
POINT = np.dtype(
    {
        "names": ["x", "y", "z", "track_id", "occluded"],
        "formats": ["<f4", "<f4", "<f4", "<i4", "u1"],
        "offsets": [0, 4, 8, 12, 16],
        "itemsize": 20,
    }
)
_FIELD_TYPES = {"f4": PointField.FLOAT32, "i4": PointField.INT32, "u1": PointField.UINT8}


@dataclass(frozen=True)
class LocatedObject:
    """An object and where it is; ``extent`` is None where its depth is not known."""

    tracked: TrackedObject
    extent: AmodalExtent | None


def depth_from_message(message: Image) -> np.ndarray:
    """Read a depth image.

    Args:
        message: ``16UC1`` (or ``mono16``) in millimetres, or ``32FC1`` in metres (REP 118).

    Returns:
        (H, W) float32 in metres, NaN where unknown.

    Raises:
        InvalidInputError: if encoding, size, step and data length do not fit together.
    """
    kind = _DTYPES.get(message.encoding)
    if kind is None:
        raise InvalidInputError(
            f"depth encoding {message.encoding!r} is not supported, expected one of "
            f"{', '.join(_DTYPES)}"
        )
    dtype = np.dtype((">" if message.is_bigendian else "<") + kind)
    row_bytes = message.width * dtype.itemsize
    complete = message.step * message.height
    size = f"{message.width}x{message.height} {message.encoding} depth image"
    if not row_bytes or message.step < row_bytes or len(message.data) != complete or not complete:
        raise InvalidInputError(
            f"{size} has step {message.step} and {len(message.data)} bytes of data, expected "
            f"rows of {row_bytes} bytes at least and {complete} bytes"
        )
    data = np.frombuffer(message.data, np.uint8)
    pixels = np.ndarray(
        (message.height, message.width),
        dtype,
        buffer=data,
        strides=(message.step, dtype.itemsize),
    )
    return depth_in_metres(pixels.astype(dtype.newbyteorder("="), copy=False))


def camera_from_info(info: CameraInfo, image_hw: tuple[int, int]) -> PinholeCamera:
    """Intrinsics of an image: of P where it is given (rectified images), else of K.

    Args:
        info: the camera's; distortion is not undone, so the image must have none to speak of.
        image_hw: height and width of the image that it must belong to.

    Raises:
        InvalidInputError: if it belongs to another size, or is not calibrated (all zero).
    """
    if (info.height, info.width) != image_hw:
        raise InvalidInputError(
            f"camera_info is of {info.width}x{info.height} pixels, the image has "
            f"{image_hw[1]}x{image_hw[0]}"
        )
    if info.p[0]:
        return PinholeCamera(info.p[0], info.p[5], info.p[2], info.p[6])
    return PinholeCamera(info.k[0], info.k[4], info.k[2], info.k[5])


def boxes_3d_message(located: Sequence[LocatedObject], header: Header) -> Detection3DArray:
    """The boxes of all objects whose depth is known; ``id`` is the track's."""
    message = Detection3DArray(header=header)
    for entry in located:
        if entry.extent is None:
            continue
        detection = Detection3D(header=header, id=str(entry.tracked.track_id))
        box = detection.bbox
        position, size = box.center.position, box.size
        position.x, position.y, position.z = map(float, entry.extent.centre_xyz)
        size.x, size.y, size.z = map(float, entry.extent.size_xyz)
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = entry.tracked.class_id
        hypothesis.hypothesis.score = float(entry.tracked.score)
        hypothesis.pose.pose = box.center
        detection.results = [hypothesis]
        message.detections.append(detection)
    return message


def cloud_message(clouds: Sequence[tuple[int, ObjectCloud]], header: Header) -> PointCloud2:
    """One cloud of all objects, each given with its track id; fields as ``POINT``."""
    points = np.zeros(sum(len(cloud.points_xyz) for _, cloud in clouds), POINT)
    start = 0
    for track_id, cloud in clouds:
        rows = points[start : start + len(cloud.points_xyz)]
        for axis, name in enumerate("xyz"):
            rows[name] = cloud.points_xyz[:, axis]
        rows["track_id"] = track_id
        rows["occluded"] = cloud.occluded
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


def _field(name: str) -> PointField:
    kind, offset = POINT.fields[name][:2]  # type: ignore[index]
    return PointField(name=name, offset=offset, datatype=_FIELD_TYPES[kind.str[1:]], count=1)
