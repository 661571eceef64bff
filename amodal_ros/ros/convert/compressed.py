# SPDX-License-Identifier: Apache-2.0
"""``sensor_msgs/CompressedImage`` to arrays: JPEG and PNG pictures, and compressed depth.

RVL is what compressed_depth_image_transport sends with ``format:=rvl``. After A. D. Wilson, Fast
Lossless Depth Image Compression, 2017: the image is a sequence of runs, a number of zeros and a
number of depths, each depth as the difference from the one before, its sign in the lowest bit.
Every number is written in groups of three bits, the lowest first, each group in a nibble whose
highest bit says that another follows. Eight nibbles make a little-endian word, the first in its
highest bits.
"""

from __future__ import annotations

import struct

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.images import image_to_rgb, samples_to_8_bits

# A few damaged bytes of a header can promise gigabytes of pixels.
LARGEST_IMAGE_PX = 100_000_000
# A PNG of one colour and one bit a pixel holds 8256 pixels in a byte: deflate's 1032 to 1. More
# is a damaged header, and would cost the time and memory to paint it.
_MOST_PIXELS_OF_A_BYTE = 10_000
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_JPEG_PROGRESSIVE = b"\xff\xc2"
_JPEG_TRAILER_BYTES = 4096  # some cameras pad behind the end
_JPEG_BLOCK = 8
_JPEG_GREY = 128
_MORE_CODED_BYTES = bytes(range(1, 255)) * 4
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
# Of compressed_depth_image_transport: a number of the codec, and what 32FC1 was quantised with.
_DEPTH_HEADER = struct.Struct("<iff")
# Start-of-frame markers: all of SOF0 to SOF15 that are none of DHT, JPG and DAC.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def message_to_rgb(image: Image | CompressedImage, bits: int = 16) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image, raw or compressed.

    Args:
        image: the message.
        bits: that each sample of a 16-bit image holds.

    Raises:
        InvalidInputError: if the message is not a consistent image.
    """
    if isinstance(image, CompressedImage):
        return compressed_to_rgb(image, bits)
    return image_to_rgb(image, bits)


def compressed_to_rgb(message: CompressedImage, bits: int = 16) -> np.ndarray:
    """Decode a compressed image.

    Grey pictures become RGB, 16 bits become 8, and a photo's orientation tag is not obeyed: boxes
    are in pixels of the picture as it is stored. A JPEG needs no marker of its end, if all of its
    pixels are there.

    Args:
        message: ``format`` is not looked at, the data say what they are.
        bits: that each sample of a 16-bit PNG holds: its largest value is 2^bits - 1.

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
    if data[:2].tobytes() == _JPEG_MAGIC:
        data = _with_end(data)
    bgr = _decode(data, _AS_STORED | cv2.IMREAD_ANYDEPTH)
    if bgr is None:
        raise InvalidInputError(f"{size} cannot be decoded: its data are damaged")
    if _ends_early(data, bgr):
        raise InvalidInputError(f"{size} ends in the middle: its last pixels are not there")
    if bgr.dtype == np.uint16:
        bgr = samples_to_8_bits(bgr, bits)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def compressed_depth_pixels(message: CompressedImage) -> np.ndarray:
    """Decode ``compressedDepth`` (of compressed_depth_image_transport).

    Returns:
        (H, W) uint16 as it was sent (``16UC1``), or float32 in the units that were sent, NaN where
        unknown (``32FC1``).

    Raises:
        InvalidInputError: if it is none, of another codec than PNG and RVL, damaged or too large.
    """
    size = f"compressed depth image (format {message.format!r}, {len(message.data)} bytes)"
    encoding, _, codec = message.format.partition(";")
    encoding = encoding.strip()
    if encoding not in ("16UC1", "32FC1") or "compressedDepth" not in codec:
        raise InvalidInputError(
            f"{size}: expected format '16UC1; compressedDepth png' or '32FC1; compressedDepth "
            "png', or rvl in the place of png"
        )
    data = np.frombuffer(message.data, np.uint8)
    if len(data) <= _DEPTH_HEADER.size:
        raise InvalidInputError(f"{size} is too short")
    _, a, b = _DEPTH_HEADER.unpack(data[: _DEPTH_HEADER.size].tobytes())
    coded = data[_DEPTH_HEADER.size :]
    pixels = decode_rvl(coded.tobytes()) if "rvl" in codec else _png_pixels(coded, size)
    if encoding == "16UC1":
        return pixels
    with np.errstate(divide="ignore", invalid="ignore"):
        metres = np.float32(a) / (pixels.astype(np.float32) - np.float32(b))
    metres[pixels == 0] = np.nan
    return metres


def _png_pixels(png: np.ndarray, size: str) -> np.ndarray:
    """(H, W) uint16 of a grey PNG of 16 bits."""
    width, height = _stored_size(png, size)
    if not 0 < width * height <= min(LARGEST_IMAGE_PX, _MOST_PIXELS_OF_A_BYTE * len(png)):
        raise InvalidInputError(f"{size} claims {width}x{height} pixels")
    pixels = _decode(png, cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 2 or pixels.dtype != np.uint16:
        raise InvalidInputError(f"{size} cannot be decoded: expected a grey PNG of 16 bits")
    return pixels


def _decode(data: np.ndarray, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(data, flags)
    except cv2.error:
        return None


def _with_end(jpeg: np.ndarray) -> np.ndarray:
    """The same file with a marker of its end, without which OpenCV does not decode."""
    if jpeg[-2:].tobytes() == _JPEG_END or _JPEG_END in jpeg[-_JPEG_TRAILER_BYTES:].tobytes():
        return jpeg
    return np.concatenate([jpeg, np.frombuffer(_JPEG_END, np.uint8)])


def _ends_early(data: np.ndarray, bgr: np.ndarray) -> bool:
    """Whether pixels of a JPEG are missing; OpenCV paints them grey, or coarsely if progressive.

    Bytes are put in before the end: they change the picture only if the decoder still waits for
    some. A picture that is there to its last corner is not decoded again for that.
    """
    if data[:2].tobytes() != _JPEG_MAGIC:
        return False
    coded = data.tobytes()
    corner = bgr[-_JPEG_BLOCK:, -_JPEG_BLOCK:]
    if not ((corner == _JPEG_GREY).all() or _JPEG_PROGRESSIVE in coded):
        return False
    end = coded.rfind(_JPEG_END)
    longer = coded[:end] + _MORE_CODED_BYTES + coded[end:]
    decoded = _decode(np.frombuffer(longer, np.uint8), _AS_STORED)
    return decoded is None or not np.array_equal(decoded, bgr)


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
            return width, height
        at += 2 + (int(data[at + 2]) << 8 | int(data[at + 3]))
    return None


_SIZE = struct.Struct("<II")  # width, height
_MOST_GROUPS = 11  # of 32 bits
# An image of zeros takes a few bytes; more than this is a damaged header.
_LARGEST_RVL_PX = 25_000_000


def decode_rvl(data: bytes) -> np.ndarray:
    """(H, W) uint16 of the bytes after the transport's own header.

    Raises:
        InvalidInputError: if size and data do not fit together.
    """
    if len(data) <= _SIZE.size:
        raise InvalidInputError(f"RVL depth of {len(data)} bytes is too short")
    width, height = _SIZE.unpack_from(data)
    if not 0 < width * height <= _LARGEST_RVL_PX:
        raise InvalidInputError(f"RVL depth claims {width}x{height} pixels")
    numbers = _numbers(np.frombuffer(data, np.uint8, offset=_SIZE.size))
    return _pixels(numbers, width * height).reshape(height, width)


def _numbers(data: np.ndarray) -> np.ndarray:
    """(N,) int64 all numbers of the stream, the last words' padding included as zeros."""
    padded = np.zeros(-(-len(data) // 4) * 4, np.uint8)
    padded[: len(data)] = data
    bytes_in_order = padded.reshape(-1, 4)[:, ::-1].ravel()
    nibbles = np.stack([bytes_in_order >> 4, bytes_in_order & 15], axis=1).ravel()
    ends = np.flatnonzero(nibbles < 8)
    if not len(ends):
        raise InvalidInputError("RVL depth ends in the middle of a number")
    nibbles = nibbles[: ends[-1] + 1]
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(nibbles)) - np.repeat(starts, ends - starts + 1)
    if place.max() >= _MOST_GROUPS:
        raise InvalidInputError("RVL depth holds a number of more than 32 bits")
    groups = (nibbles & 7).astype(np.int64) << (3 * place)
    numbers: np.ndarray = np.add.reduceat(groups, starts)
    return numbers


def _pixels(numbers: np.ndarray, count: int) -> np.ndarray:
    """(count,) uint16 of all numbers of the stream."""
    lengths, coded = _runs(numbers, count)
    measured = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    differences = (coded >> 1) ^ -(coded & 1)
    pixels = np.zeros(count, np.uint16)
    pixels[: len(measured)][measured] = np.cumsum(differences) & 0xFFFF
    return pixels


def _runs(numbers: np.ndarray, count: int) -> tuple[list[int], np.ndarray]:
    """Lengths of the runs, zeros and depths in turn, and (M,) int64 the numbers of all depths."""
    heads: list[int] = []
    lengths: list[int] = []
    filled, at = 0, 0
    while filled < count:
        if at + 1 >= len(numbers):
            if at < len(numbers) and filled + numbers[at] >= count:
                break  # ends with zeros
            raise InvalidInputError(f"RVL depth ends after {filled} of {count} pixels")
        zeros, depths = int(numbers[at]), int(numbers[at + 1])
        after = at + 2 + depths
        if not 0 < zeros + depths <= count - filled or after > len(numbers):
            raise InvalidInputError(f"RVL depth is damaged after {filled} of {count} pixels")
        heads += (at, at + 1)
        lengths += (zeros, depths)
        filled, at = filled + zeros + depths, after
    return lengths, np.delete(numbers[:at], heads)
