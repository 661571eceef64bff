# SPDX-License-Identifier: Apache-2.0
"""COCO's run-length encoding of masks, in the compressed form of `pycocotools`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from amodal_ros.checks import check_array
from amodal_ros.errors import InvalidInputError


class Rle(TypedDict):
    """A mask as COCO writes it: `size` is [height, width], `counts` the compressed runs."""

    size: list[int]
    counts: str


def encode_rle(mask: np.ndarray) -> Rle:
    """Encodes a mask (H, W) bool.

    Raises:
        InvalidInputError: for another dtype or rank.

    >>> encode_rle(np.array([[False, True], [False, True]]))
    {'size': [2, 2], 'counts': '22'}
    """
    mask = check_array("mask", mask, np.bool_, (None, None))
    pixels = mask.ravel(order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [pixels.size]]))
    if pixels.size and pixels[0]:
        runs = np.concatenate([[0], runs])  # the first run is always of background
    return {"size": [int(size) for size in mask.shape], "counts": _compress(runs.tolist())}


def decode_rle(rle: Mapping[str, object]) -> np.ndarray:
    """Decodes a mask to (H, W) bool.

    Args:
        rle: `size` [height, width]; `counts`: a compressed string (or its bytes), or runs.

    Raises:
        InvalidInputError: when a field is missing or wrong, or the runs do not fill the size.
    """
    size, counts = rle.get("size"), rle.get("counts")
    if not (
        isinstance(size, (list, tuple))
        and len(size) == 2
        and all(isinstance(length, int) and length >= 0 for length in size)
    ):
        raise InvalidInputError(f"rle: size: expected [height, width], got {size!r}")
    if isinstance(counts, bytes):
        counts = counts.decode("ascii", errors="replace")
    if isinstance(counts, str):
        runs = _decompress(counts)
    elif isinstance(counts, (list, tuple)) and all(isinstance(run, int) for run in counts):
        runs = list(counts)
    else:
        raise InvalidInputError(f"rle: counts: expected a string or runs, got {type(counts)}")
    height, width = size
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise InvalidInputError(
            f"rle: expected runs that fill {height}x{width} = {height * width} pixels,"
            f" got {len(runs)} runs of {sum(runs)}"
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")


def _compress(runs: list[int]) -> str:
    """Writes runs in COCO's text form (`rleToString` in pycocotools).

    From the fourth on a run stands as its difference to the run before the last; a number is cut
    into groups of 5 bits, lowest first, with bit 5 for "more follows" and an offset of 48.
    """
    characters = []
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        more = True
        while more:
            group = value & 0x1F
            value >>= 5
            more = value != (-1 if group & 0x10 else 0)
            characters.append(chr((group | 0x20 if more else group) + 48))
    return "".join(characters)


def _decompress(text: str) -> list[int]:
    """Reads what `_compress` writes (`rleFrString` in pycocotools)."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64:
            raise InvalidInputError(f"rle: counts: unexpected character {character!r}")
        value |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:
            continue
        if group & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise InvalidInputError("rle: counts: expected a complete number at the end")
    return runs
