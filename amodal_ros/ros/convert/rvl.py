# SPDX-License-Identifier: Apache-2.0
"""Decodes RVL depth, as compressed_depth_image_transport sends it with ``format:=rvl``.

After A. D. Wilson, Fast Lossless Depth Image Compression, 2017: the image is a sequence of runs, a
number of zeros and a number of depths, each depth as the difference from the one before, its sign
in the lowest bit. Every number is written in groups of three bits, the lowest first, each group in
a nibble whose highest bit says that another follows. Eight nibbles make a little-endian word, the
first in its highest bits.
"""

from __future__ import annotations

import struct

import numpy as np

from amodal_ros.errors import InvalidInputError

_SIZE = struct.Struct("<II")  # width, height
_MOST_GROUPS = 11  # of 32 bits
# An image of zeros takes a few bytes; more than this is a damaged header.
_LARGEST_IMAGE_PX = 25_000_000


def decode_rvl(data: bytes) -> np.ndarray:
    """(H, W) uint16 of the bytes after the transport's own header.

    Raises:
        InvalidInputError: if size and data do not fit together.
    """
    if len(data) <= _SIZE.size:
        raise InvalidInputError(f"RVL depth of {len(data)} bytes is too short")
    width, height = _SIZE.unpack_from(data)
    if not 0 < width * height <= _LARGEST_IMAGE_PX:
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
