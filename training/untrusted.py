# SPDX-License-Identifier: Apache-2.0
"""Files that nobody vouches for: what is wrong with them, and images read with care.

The size of an image is known before its pixels are decoded.
"""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError

MAX_FILE_BYTES = 128 * 2**20
MAX_PIXELS = 80_000_000
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class CorruptRecordError(InvalidInputError):
    """A source file or one record in it cannot be used; names both.

    Attributes:
        file: path of the file (inside an archive: ``archive!member``).
        record: which record of the file, or ``"file"`` for the file as a whole.
        reason: what came and what was expected.
    """

    def __init__(self, file: object, record: object, reason: str) -> None:
        """Stores the place and builds the message ``file, record R: reason``."""
        super().__init__(f"{file}, record {record}: {reason}")
        self.file = str(file)
        self.record = str(record)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        """Pickles by its three parts, so that it crosses process borders."""
        return type(self), (self.file, self.record, self.reason)


class RejectedError(Exception):
    """One drawing attempt came to nothing; `reason` is the key it is counted under."""

    def __init__(self, reason: str) -> None:
        """Keeps the reason, a short snake_case key."""
        super().__init__(reason)
        self.reason = reason


def image_hw(data: bytes) -> tuple[int, int] | None:
    """Height and width from the header of a JPEG, PNG or WebP file; None for other bytes."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    if data[:2] == b"\xff\xd8":
        return _jpeg_hw(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        return _webp_hw(data)
    return None


def _jpeg_hw(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return height, width
        position += 2 + struct.unpack(">H", data[position + 2 : position + 4])[0]
    return None


def _webp_hw(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return height & 0x3FFF, width & 0x3FFF
    if chunk == b"VP8L":
        bits = struct.unpack("<I", data[21:25])[0]
        return ((bits >> 14) & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if chunk == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        return int.from_bytes(data[27:30], "little") + 1, width
    return None


def read_bytes(path: Path, record: object) -> bytes:
    """A file's bytes.

    Raises:
        CorruptRecordError: if it is missing, unreadable or above 128 MiB.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise CorruptRecordError(
                path, record, f"expected at most {MAX_FILE_BYTES} bytes, got {size}"
            )
        return path.read_bytes()
    except OSError as error:
        raise CorruptRecordError(path, record, f"cannot be read: {error.strerror}") from error


def checked_hw(data: bytes, file: object, record: object) -> tuple[int, int]:
    """Header size of an image within the pixel limit.

    Raises:
        CorruptRecordError: if it is no JPEG, PNG or WebP, is empty, or is too large.
    """
    hw = image_hw(data)
    if hw is None or min(hw) < 1:
        raise CorruptRecordError(file, record, "expected a JPEG, PNG or WebP image")
    if hw[0] * hw[1] > MAX_PIXELS:
        raise CorruptRecordError(
            file, record, f"expected at most {MAX_PIXELS} pixels, got {hw[1]}x{hw[0]}"
        )
    return hw


def decode_rgb(data: bytes, hw: tuple[int, int], file: object, record: object) -> np.ndarray:
    """Decodes to (H, W, 3) uint8 RGB of size `hw`, orientation tags ignored.

    Annotations refer to the stored pixels, so EXIF rotation must not be applied. A JPEG that
    is at least twice too large is decoded at a reduced size, which is several times faster.

    Raises:
        CorruptRecordError: if the pixels cannot be decoded.
    """
    native = checked_hw(data, file, record)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    if native[0] >= 2 * hw[0] and native[1] >= 2 * hw[1]:
        flags = cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = _decode(data, flags, file, record)
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    if rgb.shape[:2] != tuple(hw):
        rgb = cv2.resize(rgb, (hw[1], hw[0]), interpolation=cv2.INTER_AREA)
    return rgb


def decode_rgba(data: bytes, file: object, record: object) -> np.ndarray:
    """Decodes a cut-out to (H, W, 4) uint8 RGBA.

    Raises:
        CorruptRecordError: if it cannot be decoded or has no alpha channel.
    """
    checked_hw(data, file, record)
    image = _decode(data, cv2.IMREAD_UNCHANGED, file, record)
    if image.ndim != 3 or image.shape[2] != 4:
        raise CorruptRecordError(file, record, "expected an image with an alpha channel")
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)


_PNG = b"\x89PNG\r\n\x1a\n"
_COLOUR_NOTES = (b"sRGB", b"iCCP", b"gAMA", b"cHRM")


def _without_colour_notes(data: bytes) -> bytes:
    """A PNG without its notes on colour spaces, which OpenCV does not apply.

    libpng writes a line for each that is out of place, as in some of tuxpaint's stamps, to the
    user's screen. What is not a whole PNG stays as it is: to refuse it is the decoder's part.
    """
    if not data.startswith(_PNG):
        return data
    kept, place = [_PNG], len(_PNG)
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] not in _COLOUR_NOTES:
            kept.append(data[place:end])
        place = end
    return b"".join(kept) if place == len(data) else data


def _decode(data: bytes, flags: int, file: object, record: object) -> np.ndarray:
    data = _without_colour_notes(data)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise CorruptRecordError(file, record, f"cannot be decoded: {error.err}") from error
    if image is None:
        raise CorruptRecordError(file, record, "image data cannot be decoded")
    return image


def working_hw(native_hw: tuple[int, int], long_side: int) -> tuple[int, int]:
    """Size with the longest side at most `long_side`, aspect kept, never enlarged."""
    scale = min(1.0, long_side / max(native_hw))
    return max(1, int(native_hw[0] * scale + 0.5)), max(1, int(native_hw[1] * scale + 0.5))
