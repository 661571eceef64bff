# SPDX-License-Identifier: Apache-2.0
"""``sensor_msgs/Image`` to and from RGB arrays.

A message is believed only as far as it is consistent: encoding, step, size and data length must
agree, otherwise the error says what came and what was expected.
"""

from __future__ import annotations

import array
import math
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


@dataclass(frozen=True)
class _Encoding:
    """How the bytes of one pixel lie in memory, and OpenCV's code that makes RGB of them."""

    channels: int
    to_rgb: int | None
    sample_bytes: int = 1
    even_width: bool = False
    even_height: bool = False
    minimum_side: int = 1
    rows: float = 1.0  # of memory, for each row of pixels


_YUV422 = {
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}
# Brightness of all pixels, then half as many rows of colours, each of 2 x 2 pixels.
_YUV420 = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first two
# rows' first two: ROS rggb is OpenCV BG.
# https://docs.opencv.org/4.x/de/d25/imgproc_color_conversions.html#color_convert_bayer
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
_COLOURS = {
    "rgb": (3, None),
    "bgr": (3, cv2.COLOR_BGR2RGB),
    "rgba": (4, cv2.COLOR_RGBA2RGB),
    "bgra": (4, cv2.COLOR_BGRA2RGB),
    "mono": (1, cv2.COLOR_GRAY2RGB),
}


def _unnamed(bits: int) -> dict[str, _Encoding]:
    """Encodings without a stated order: OpenCV's, as the drivers that send them use OpenCV."""
    names = {f"{bits}UC1": "mono", f"{bits}UC3": "bgr", f"{bits}UC4": "bgra"}
    return {name: _Encoding(*_COLOURS[order], bits // 8) for name, order in names.items()}


_ENCODINGS: dict[str, _Encoding] = {
    **{f"{name}{8 * n}": _Encoding(*how, n) for name, how in _COLOURS.items() for n in (1, 2)},
    **_unnamed(8),
    **_unnamed(16),
    **{name: _Encoding(2, code, even_width=True) for name, code in _YUV422.items()},
    **{
        name: _Encoding(1, code, even_width=True, even_height=True, rows=1.5)
        for name, code in _YUV420.items()
    },
    **{
        f"bayer_{name}{8 * n}": _Encoding(1, code, n, minimum_side=4)
        for name, code in _BAYER.items()
        for n in (1, 2)
    },
}

SUPPORTED_ENCODINGS: tuple[str, ...] = tuple(_ENCODINGS)


def image_to_rgb(message: Image, bits: int = 16) -> np.ndarray:
    """Read an image message as RGB.

    Samples of 16 bits are scaled to 8, ``8UC3`` is read as BGR.

    Args:
        message: ``sensor_msgs/Image`` in one of ``SUPPORTED_ENCODINGS``.
        bits: that each sample of 16 bits holds: its largest value is 2^bits - 1.

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
    size = f"{message.width}x{message.height} {message.encoding} image"
    odd = (encoding.even_width and message.width % 2) or (
        encoding.even_height and message.height % 2
    )
    if odd:
        raise InvalidInputError(f"{size}: width (and height) of this encoding must be even")
    if 0 < min(message.height, message.width) < encoding.minimum_side:
        raise InvalidInputError(
            f"{size} is too small to demosaic, expected at least {encoding.minimum_side} pixels"
        )
    dtype = np.dtype(f"u{encoding.sample_bytes}")
    pixels = view_pixels(message, dtype, encoding.channels, encoding.rows)
    if encoding.sample_bytes == 2:
        # A copy: native byte order, and OpenCV takes no rows at odd addresses.
        pixels = samples_to_8_bits(pixels.astype(np.uint16), bits)
    if encoding.to_rgb is None:
        return pixels
    if encoding.rows != 1.0:
        pixels = np.ascontiguousarray(pixels)
    return cv2.cvtColor(pixels, encoding.to_rgb)


def samples_to_8_bits(samples: np.ndarray, bits: int) -> np.ndarray:
    """uint8 of uint16 samples that hold so many bits; what is larger is 255."""
    return cv2.convertScaleAbs(samples, alpha=255.0 / (2**bits - 1))


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
    message, memory = blank_image(pixels.shape, encoding, header)
    memory[...] = pixels
    return message


def blank_image(shape: tuple[int, ...], encoding: str, header: Header) -> tuple[Image, np.ndarray]:
    """Build an image message without padding, to be filled in place.

    Args:
        shape: (H, W) or (H, W, C).
        encoding: the message's encoding; it must describe such pixels.
        header: header of the message.

    Returns:
        The message, and its memory as an array uint8 of that shape.
    """
    message = Image()
    message.header = header
    message.encoding = encoding
    message.height, message.width = shape[:2]
    message.step = math.prod(shape[1:])
    # array.array is the only type that rclpy neither checks nor converts item by item.
    message.data = array.array("B", bytes(math.prod(shape)))
    return message, np.frombuffer(message.data, np.uint8).reshape(shape)


def view_pixels(
    message: Image, dtype: np.dtype[Any], channels: int = 1, rows: float = 1.0
) -> np.ndarray:
    """View a message's memory as (H, W) or (H, W, C), without a copy.

    Args:
        message: any image.
        dtype: of a sample, in native byte order; the view has the message's.
        channels: samples of a pixel.
        rows: of memory for each row of pixels; the view has so many times H.

    Raises:
        InvalidInputError: if size, step and data length do not fit together.
    """
    width, height, step = message.width, round(message.height * rows), message.step
    row_bytes = width * channels * dtype.itemsize
    _check_layout(message, row_bytes, height)
    ordered = dtype.newbyteorder(">" if message.is_bigendian else "<")
    shape: tuple[int, ...] = (height, width)
    strides: tuple[int, ...] = (step, channels * dtype.itemsize)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, dtype.itemsize)
    data = np.frombuffer(message.data, np.uint8)
    return np.ndarray(shape, ordered, buffer=data, strides=strides)


def _check_layout(message: Image, row_bytes: int, rows: int) -> None:
    step = message.step
    size = f"{message.width}x{message.height} {message.encoding} image"
    if rows == 0 or row_bytes == 0:
        raise InvalidInputError(f"{size} has no pixels")
    padding = step - row_bytes
    if padding < 0:
        raise InvalidInputError(f"{size} has step {step}, expected at least {row_bytes}")
    suspicious = padding >= row_bytes or step % message.width == 0
    if suspicious and padding > _LARGEST_PADDING_BYTES:
        raise InvalidInputError(
            f"{size} has step {step}, expected about {row_bytes}: the rows are longer than "
            "such pixels need, so encoding or width is wrong"
        )
    # Some drivers leave the padding of the last row out.
    complete, without_last_padding = step * rows, step * (rows - 1) + row_bytes
    if len(message.data) not in (complete, without_last_padding):
        raise InvalidInputError(
            f"{size} with step {step} has {len(message.data)} bytes of data, expected {complete}"
        )
