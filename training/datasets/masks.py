# SPDX-License-Identifier: Apache-2.0
"""From what annotation files hold (polygons, both kinds of RLE) to masks, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

MIN_POLYGON_NUMBERS = 6  # three points; pycocotools takes four numbers for a box, not a polygon


def decode_segmentation(segmentation: Any, hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode any COCO segmentation.

    Args:
        segmentation: a list of polygons, one flat polygon (COCOA), an RLE whose ``counts`` is a
            string, bytes or a list of run lengths, or a list holding one such RLE (FISHBOWL).
        hw: height and width of the image, in pixels.

    Returns:
        (H, W) bool; may be empty (the caller knows whether it may).

    Raises:
        ValueError: with what came and what was expected.
    """
    if isinstance(segmentation, Mapping):
        return _decode_rle(segmentation, hw)
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str | bytes):
        raise ValueError(f"segmentation is a {type(segmentation).__name__}, not polygons or RLE")
    if not segmentation:
        return np.zeros(hw, dtype=bool)
    if isinstance(segmentation[0], Mapping):
        if len(segmentation) != 1:
            raise ValueError(f"{len(segmentation)} RLE masks where one was expected")
        return _decode_rle(segmentation[0], hw)
    polygons = [segmentation] if np.isscalar(segmentation[0]) else segmentation
    return _decode_polygons(polygons, hw)


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """(H, W) bool to a compressed RLE that JSON can hold: ``{"size": [H, W], "counts": str}``."""
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(v) for v in rle["size"]], "counts": rle["counts"].decode("ascii")}


def _decode_rle(rle: Mapping[str, Any], hw: tuple[int, int]) -> NDArray[np.bool_]:
    size = tuple(int(v) for v in rle["size"])
    if size != tuple(hw):
        raise ValueError(f"RLE size {list(size)} does not match the image's {list(hw)}")
    counts = rle["counts"]
    if isinstance(counts, str):
        counts = counts.encode("ascii")
    if isinstance(counts, bytes):
        _check_run_lengths(_parse_compressed_counts(counts), hw)
        compressed = {"size": list(size), "counts": counts}
    elif isinstance(counts, Sequence):
        _check_run_lengths(counts, hw)
        compressed = coco_mask.frPyObjects({"size": list(size), "counts": list(counts)}, *hw)
    else:
        raise ValueError(f"RLE counts are a {type(counts).__name__}, not a string or a list")
    return coco_mask.decode(compressed).astype(bool)


def _check_run_lengths(runs: Sequence[int], hw: tuple[int, int]) -> None:
    """Refuse what pycocotools 2.0 would decode to uninitialised memory without a word."""
    if min(runs, default=0) < 0:
        raise ValueError(f"RLE holds the negative run length {min(runs)}")
    if sum(runs) != hw[0] * hw[1]:
        raise ValueError(f"RLE runs add up to {sum(runs)} pixels, the image has {hw[0] * hw[1]}")


def _parse_compressed_counts(counts: bytes) -> list[int]:
    """Run lengths of COCO's compressed string.

    A character holds 5 bits of a number, least significant first, and a sixth that says that more
    follow. From the fourth run on it is the difference to the last run but one.
    """
    runs: list[int] = []
    value = shift = 0
    for byte in counts:
        chunk = byte - ord("0")
        if not 0 <= chunk < 64:
            raise ValueError(f"RLE counts hold the byte {byte}, outside the alphabet '0' to 'o'")
        value |= (chunk & 0x1F) << shift
        shift += 5
        if chunk & 0x20:
            continue
        if chunk & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("RLE counts end in the middle of a number")
    return runs


def _decode_polygons(polygons: Sequence[Any], hw: tuple[int, int]) -> NDArray[np.bool_]:
    usable: list[list[float]] = []
    for polygon in polygons:
        numbers = [float(v) for v in polygon]
        if len(numbers) % 2 or not all(math.isfinite(v) for v in numbers):
            raise ValueError(f"polygon of {len(numbers)} numbers; pairs of finite x y expected")
        if len(numbers) >= MIN_POLYGON_NUMBERS:  # fewer points enclose nothing
            usable.append(numbers)
    if not usable:
        return np.zeros(hw, dtype=bool)
    merged = coco_mask.merge(coco_mask.frPyObjects(usable, *hw))
    return coco_mask.decode(merged).astype(bool)
