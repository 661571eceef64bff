# SPDX-License-Identifier: Apache-2.0
"""``sensor_msgs/Image`` to and from RGB arrays.

A message is believed only as far as it is consistent: encoding, step, size and data length must
agree, otherwise the error says what came and what was expected.
"""

from __future__ import annotations

import array
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from amodal_ros.errors import InvalidInputError

# Rows may be padded for alignment. A longer padding that is a whole row, or that leaves another
# whole number of bytes for each pixel, means that the encoding or the width lies.
_LARGEST_PADDING_BYTES = 512
_MONO16_TO_MONO8 = 255.0 / 65535.0


@dataclass(frozen=True)
class _Encoding:
    """How the bytes of one pixel lie in memory, and OpenCV's code that makes RGB of them."""

    channels: int
    to_rgb: int | None
    sample_bytes: int = 1
    even_width: bool = False
    minimum_side: int = 1


_MONO8 = _Encoding(1, cv2.COLOR_GRAY2RGB)
_BGR8 = _Encoding(3, cv2.COLOR_BGR2RGB)
_UYVY = _Encoding(2, cv2.COLOR_YUV2RGB_UYVY, even_width=True)
_YUYV = _Encoding(2, cv2.COLOR_YUV2RGB_YUY2, even_width=True)

# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first two
# rows' first two: ROS rggb is OpenCV BG.
# https://docs.opencv.org/4.x/de/d25/imgproc_color_conversions.html#color_convert_bayer
_ENCODINGS: dict[str, _Encoding] = {
    "rgb8": _Encoding(3, None),
    "bgr8": _BGR8,
    "rgba8": _Encoding(4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Encoding(4, cv2.COLOR_BGRA2RGB),
    "mono8": _MONO8,
    "mono16": _Encoding(1, cv2.COLOR_GRAY2RGB, sample_bytes=2),
    "8UC1": _MONO8,
    "8UC3": _BGR8,  # without a stated order: OpenCV's, as the drivers that send it use OpenCV
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "bayer_rggb8": _Encoding(1, cv2.COLOR_BayerBG2RGB, minimum_side=4),
    "bayer_bggr8": _Encoding(1, cv2.COLOR_BayerRG2RGB, minimum_side=4),
    "bayer_gbrg8": _Encoding(1, cv2.COLOR_BayerGR2RGB, minimum_side=4),
    "bayer_grbg8": _Encoding(1, cv2.COLOR_BayerGB2RGB, minimum_side=4),
}

SUPPORTED_ENCODINGS: tuple[str, ...] = tuple(_ENCODINGS)


def image_to_rgb(message: Image) -> np.ndarray:
    """Read an image message as RGB.

    ``mono16`` is scaled to 8 bits over its whole range, ``8UC3`` is read as BGR.

    Args:
        message: ``sensor_msgs/Image`` in one of ``SUPPORTED_ENCODINGS``.

    Returns:
        (H, W, 3) uint8 RGB. For ``rgb8`` it is a view of the message's own memory.

    Raises:
        InvalidInputError: if encoding, size, step and data length do not fit together.
    """
    encoding = _ENCODINGS.get(message.encoding)
    if encoding is None:
        raise InvalidInputError(
            f"image encoding {message.encoding!r} is not supported, expected one of "
            f"{', '.join(SUPPORTED_ENCODINGS)}"
        )
    _check_layout(message, encoding)
    pixels = _pixels(message, encoding)
    if encoding.sample_bytes == 2:
        # A copy: native byte order, and OpenCV takes no rows at odd addresses.
        pixels = cv2.convertScaleAbs(pixels.astype(np.uint16), alpha=_MONO16_TO_MONO8)
    if encoding.to_rgb is None:
        return pixels
    return cv2.cvtColor(pixels, encoding.to_rgb)


def rgb_to_image(rgb: np.ndarray, header: Header) -> Image:
    """Pack an RGB picture as ``rgb8``.

    Args:
        rgb: (H, W, 3) uint8 RGB.
        header: header of the message.

    Raises:
        InvalidInputError: if ``rgb`` is not (H, W, 3) uint8.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise InvalidInputError(f"expected (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
    return pack_image(rgb, "rgb8", header)


def pack_image(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """Build an image message of rows without padding.

    Args:
        pixels: (H, W) or (H, W, C) uint8.
        encoding: the message's encoding; it must describe ``pixels``.
        header: header of the message.
    """
    message = Image()
    message.header = header
    message.encoding = encoding
    message.height, message.width = pixels.shape[:2]
    message.step = pixels.nbytes // max(pixels.shape[0], 1)
    # array.array is the only type that rclpy neither checks nor converts item by item.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).reshape(-1).data)
    message.data = data
    return message


def _check_layout(message: Image, encoding: _Encoding) -> None:
    height, width, step = message.height, message.width, message.step
    size = f"{width}x{height} {message.encoding} image"
    if height == 0 or width == 0:
        raise InvalidInputError(f"{size} has no pixels")
    if encoding.even_width and width % 2:
        raise InvalidInputError(f"{size}: the width of this encoding must be even")
    if min(height, width) < encoding.minimum_side:
        raise InvalidInputError(
            f"{size} is too small to demosaic, expected at least {encoding.minimum_side} pixels"
        )
    row_bytes = width * encoding.channels * encoding.sample_bytes
    padding = step - row_bytes
    if padding < 0:
        raise InvalidInputError(f"{size} has step {step}, expected at least {row_bytes}")
    suspicious = padding >= row_bytes or step % width == 0
    if suspicious and padding > _LARGEST_PADDING_BYTES:
        raise InvalidInputError(
            f"{size} has step {step}, expected about {row_bytes}: the rows are longer than "
            "such pixels need, so encoding or width is wrong"
        )
    # Some drivers leave the padding of the last row out.
    complete, without_last_padding = step * height, step * (height - 1) + row_bytes
    if len(message.data) not in (complete, without_last_padding):
        raise InvalidInputError(
            f"{size} with step {step} has {len(message.data)} bytes of data, expected {complete}"
        )


def _pixels(message: Image, encoding: _Encoding) -> np.ndarray:
    """View the message's memory as (H, W) or (H, W, C), without a copy."""
    dtype: np.dtype[Any] = np.dtype(np.uint8)
    if encoding.sample_bytes == 2:
        dtype = np.dtype(">u2" if message.is_bigendian else "<u2")
    pixel_bytes = encoding.channels * encoding.sample_bytes
    shape: tuple[int, ...] = (message.height, message.width)
    strides: tuple[int, ...] = (message.step, pixel_bytes)
    if encoding.channels > 1:
        shape, strides = (*shape, encoding.channels), (*strides, encoding.sample_bytes)
    data = np.frombuffer(message.data, dtype=np.uint8)
    return np.ndarray(shape, dtype, buffer=data, strides=strides)
