# SPDX-License-Identifier: Apache-2.0
"""``sensor_msgs/CompressedImage`` to RGB arrays: what OpenCV decodes, JPEG and PNG above all."""

from __future__ import annotations

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage

from amodal_ros.errors import InvalidInputError

# A few damaged bytes of a header can promise gigabytes of pixels.
LARGEST_IMAGE_PX = 100_000_000
# A PNG of one colour and one bit a pixel holds 8256 pixels in a byte: deflate's 1032 to 1. More
# is a damaged header, and would cost the time and memory to paint it.
_MOST_PIXELS_OF_A_BYTE = 10_000
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
# Start-of-frame markers: all of SOF0 to SOF15 that are none of DHT, JPG and DAC.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def compressed_to_rgb(message: CompressedImage) -> np.ndarray:
    """Decode a compressed image.

    Grey pictures become RGB, 16 bits become 8, and a photo's orientation tag is not obeyed: boxes
    are in pixels of the picture as it is stored.

    Args:
        message: ``format`` is not looked at, the data say what they are.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InvalidInputError: if the data are no JPEG or PNG picture, damaged, or too large.
    """
    data = np.frombuffer(message.data, np.uint8)
    size = f"compressed image (format {message.format!r}, {len(data)} bytes)"
    width, height = _stored_size(data, size)
    largest = min(LARGEST_IMAGE_PX, _MOST_PIXELS_OF_A_BYTE * len(data))
    if not 0 < width * height <= largest:
        raise InvalidInputError(f"{size} claims {width}x{height} pixels, expected 1 to {largest}")
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise InvalidInputError(f"{size} cannot be decoded: {error}") from error
    if bgr is None:
        raise InvalidInputError(f"{size} cannot be decoded: its data are damaged")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _stored_size(data: np.ndarray, size: str) -> tuple[int, int]:
    """Width and height that the header of a JPEG or PNG file claims."""
    head = data[:24].tobytes()
    if head.startswith(_PNG_MAGIC) and len(head) == 24 and _png_is_whole(data):
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head.startswith(_JPEG_MAGIC):
        found = _jpeg_size(data)
        if found is not None:
            return found
    raise InvalidInputError(f"{size} is neither a complete JPEG nor a PNG")


def _png_is_whole(data: np.ndarray) -> bool:
    """Whether all chunks up to the last fit; OpenCV reserves what a damaged length claims."""
    at = len(_PNG_MAGIC)
    while at + 12 <= len(data):
        kind = data[at + 4 : at + 8].tobytes()
        at += 12 + int.from_bytes(data[at : at + 4].tobytes(), "big")
        if kind == b"IEND":
            return at <= len(data)
    return False


def _jpeg_size(data: np.ndarray) -> tuple[int, int] | None:
    """Walks the segments up to the start of a frame; None: a part is lacking."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = int(data[at + 1])
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in _JPEG_FRAMES:
            height, width = (
                int(data[at + place]) << 8 | int(data[at + place + 1]) for place in (5, 7)
            )
            # OpenCV paints what a truncated file lacks grey. The marker of the end cannot stand
            # within the coded pixels.
            complete = data.tobytes().rfind(_JPEG_END) > at
            return (width, height) if complete else None
        at += 2 + (int(data[at + 2]) << 8 | int(data[at + 3]))
    return None
