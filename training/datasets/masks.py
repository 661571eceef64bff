# SPDX-License-Identifier: Apache-2.0
"""From what annotation files hold (polygons, both kinds of RLE) to masks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from amodal_ros.image.rle import decode_rle

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


def _decode_rle(rle: Mapping[str, Any], hw: tuple[int, int]) -> NDArray[np.bool_]:
    size = list(rle["size"])
    if size != list(hw):
        raise ValueError(f"RLE size {size} does not match the image's {list(hw)}")
    return decode_rle(rle)


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
