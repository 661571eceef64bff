# SPDX-License-Identifier: Apache-2.0
"""Depth images and intrinsics from messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from amodal_ros.depth.camera import PinholeCamera
from amodal_ros.depth.pixels import depth_in_metres
from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.compressed import compressed_depth_pixels
from amodal_ros.ros.convert.images import view_pixels
from amodal_ros.ros.watch.plausibility import intrinsics

_DTYPES: dict[str, np.dtype[Any]] = {
    "16UC1": np.dtype("u2"),
    "mono16": np.dtype("u2"),
    "32FC1": np.dtype("f4"),
}
_NO_DEPTH = 65535  # beside 0: what some drivers send where they measured nothing
_REP_118_INTEGER_M = 0.001


def depth_from_message(message: Image | CompressedImage, scale: float = 0.0) -> np.ndarray:
    """Read a depth image.

    Args:
        message: ``16UC1`` (or ``mono16``) or ``32FC1``, raw or as ``compressedDepth``.
        scale: metres of one unit; 0: as REP 118 says, millimetres in integers, else metres.

    Returns:
        (H, W) float32 in metres, NaN where unknown.

    Raises:
        InvalidInputError: if encoding, size, step and data length do not fit together.
    """
    if isinstance(message, CompressedImage):
        depth = compressed_depth_pixels(message)
    else:
        dtype = _DTYPES.get(message.encoding)
        if dtype is None:
            raise InvalidInputError(
                f"depth encoding {message.encoding!r} is not supported, expected one of "
                f"{', '.join(_DTYPES)}"
            )
        depth = view_pixels(message, dtype).astype(dtype, copy=False)
    metres = depth_in_metres(depth)
    if depth.dtype == np.uint16:
        metres[depth == _NO_DEPTH] = np.nan
    if scale:
        metres *= np.float32(scale / (_REP_118_INTEGER_M if depth.dtype == np.uint16 else 1.0))
    return metres


def camera_from_info(info: CameraInfo, image_hw: tuple[int, int]) -> PinholeCamera:
    """Intrinsics of an image: of P where it is given (rectified images), else of K.

    They are of the whole sensor; binning and region of interest are taken into account as
    image_geometry does.

    Args:
        info: the camera's; distortion is not undone, so the image must have none to speak of.
        image_hw: height and width of the image that it must belong to.

    Raises:
        InvalidInputError: if it belongs to another size, or is not calibrated (all zero).
    """
    columns, rows = max(info.binning_x, 1), max(info.binning_y, 1)
    roi = info.roi
    width, height = roi.width or info.width, roi.height or info.height
    if (height // rows, width // columns) != image_hw:
        part = (
            "" if (height, width) == (info.height, info.width) else f", of them {width}x{height}"
        )
        binned = "" if columns == rows == 1 else f", binned {columns}x{rows}"
        raise InvalidInputError(
            f"camera_info is of {info.width}x{info.height} pixels{part}{binned}, the image has "
            f"{image_hw[1]}x{image_hw[0]}"
        )
    fx, cx, fy, cy = info.k[0], info.k[2], info.k[4], info.k[5]
    if info.p[0]:
        fx, cx, fy, cy = info.p[0], info.p[2], info.p[5], info.p[6]
    camera = PinholeCamera(
        fx / columns, fy / rows, (cx - roi.x_offset) / columns, (cy - roi.y_offset) / rows
    )
    implausible = intrinsics(camera.fx, camera.fy, camera.cx, camera.cy, image_hw)
    if implausible is not None:
        raise InvalidInputError(implausible)
    return camera
