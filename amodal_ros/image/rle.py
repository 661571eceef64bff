# SPDX-License-Identifier: Apache-2.0
"""COCO's run-length encoding of masks, by `pycocotools`, checked where it is not.

pycocotools decodes runs that do not fill the mask to uninitialised memory, without a word; files
come from outside, so the runs are added up before they are decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
from pycocotools import mask as coco_mask

from amodal_ros.checks import check_array
from amodal_ros.errors import InvalidInputError


class Rle(TypedDict):
    """A mask as COCO writes it: `size` is [height, width], `counts` the compressed runs."""

    size: list[int]
    counts: str


def encode_rle(mask: np.ndarray) -> Rle:
    """Encodes a mask (H, W) bool, in a form that JSON can hold.

    Raises:
        InvalidInputError: for another dtype or rank.

    >>> encode_rle(np.array([[False, True], [False, True]]))
    {'size': [2, 2], 'counts': '22'}
    """
    mask = check_array("mask", mask, np.bool_, (None, None))
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decode_rle(rle: Mapping[str, object]) -> np.ndarray:
    """Decodes a mask to (H, W) bool.

    Args:
        rle: `size` [height, width]; `counts`: a compressed string (or its bytes), or runs.

    Raises:
        InvalidInputError: when a field is missing or wrong, or the runs do not fill the size.
    """
    height, width = _size(rle.get("size"))
    counts = rle.get("counts")
    if isinstance(counts, str):
        counts = counts.encode("ascii", errors="replace")
    if isinstance(counts, bytes):
        _check_runs(_decompress(counts), height, width)
        compressed = {"size": [height, width], "counts": counts}
    elif isinstance(counts, (list, tuple)) and all(isinstance(run, int) for run in counts):
        _check_runs(counts, height, width)
        runs = {"size": [height, width], "counts": list(counts)}
        compressed = coco_mask.frPyObjects(runs, height, width)
    else:
        raise InvalidInputError(
            f"RLE counts are a {type(counts).__name__}, not a string or a list of runs"
        )
    return coco_mask.decode(compressed).astype(bool)


def _size(size: object) -> tuple[int, int]:
    """Height and width, or InvalidInputError."""
    if (
        isinstance(size, (list, tuple))
        and len(size) == 2
        and all(isinstance(side, int) and side >= 0 for side in size)
    ):
        return size[0], size[1]
    raise InvalidInputError(f"RLE size: expected [height, width], got {size!r}")


def _check_runs(runs: Sequence[int], height: int, width: int) -> None:
    """Raises InvalidInputError unless the runs are positive and fill the mask."""
    if min(runs, default=0) < 0:
        raise InvalidInputError(f"RLE holds the negative run length {min(runs)}")
    if sum(runs) != height * width:
        raise InvalidInputError(
            f"RLE runs add up to {sum(runs)} pixels, the image has {height * width}"
        )


def _decompress(counts: bytes) -> list[int]:
    """Reads runs from COCO's text form (`rleFrString` in pycocotools, which shows them to nobody).

    From the fourth on a run stands as its difference to the run before the last; a number is cut
    into groups of 5 bits, lowest first, with bit 5 for "more follows" and an offset of 48.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        group = character - 48
        if not 0 <= group < 64:
            raise InvalidInputError(f"RLE counts hold the unexpected character {chr(character)!r}")
        value |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:
            continue
        if group & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise InvalidInputError("RLE counts end in the middle of a number")
    return runs
