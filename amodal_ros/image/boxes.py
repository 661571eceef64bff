# SPDX-License-Identifier: Apache-2.0
"""Boxes (N, 4) as x0, y0, x1, y1 in continuous pixels: pixel i covers [i, i + 1) on its axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from amodal_ros.checks import check_hw
from amodal_ros.errors import InvalidInputError


def as_boxes(name: str, boxes_xyxy: ArrayLike) -> np.ndarray:
    """Converts numbers of shape (N, 4) to float32, without a look at their values.

    Raises:
        InvalidInputError: when it is no real-valued array of that shape.
    """
    boxes = np.asarray(boxes_xyxy)
    if boxes.shape == (0,):  # an empty list knows no second side
        boxes = np.zeros((0, 4), np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "fiu":
        raise InvalidInputError(
            f"{name}: expected numbers of shape (N, 4), got {boxes.dtype} of shape {boxes.shape}"
        )
    with np.errstate(over="ignore"):
        return boxes.astype(np.float32)


def box_faults(boxes_xyxy: ArrayLike, image_hw: tuple[int, int] | None = None) -> list[str | None]:
    """Says for each box (N, 4) float32 what is wrong with it; None for a good one.

    Args:
        boxes_xyxy: the boxes, in pixels of the image.
        image_hw: (height, width); when given, a box that shares no area with the image is a fault.

    Returns:
        For each box None, `"not finite"`, `"inverted"`, `"zero area"` or `"outside"`.
    """
    boxes = as_boxes("boxes_xyxy", boxes_xyxy).tolist()
    return [box_fault(box, image_hw) for box in boxes]


def box_fault(box_xyxy: Sequence[float], image_hw: tuple[int, int] | None = None) -> str | None:
    """Does `box_faults` for one box of plain numbers: numpy costs more for a few of them."""
    x0, y0, x1, y1 = box_xyxy
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        return "not finite"
    if x1 < x0 or y1 < y0:
        return "inverted"
    if x1 == x0 or y1 == y0:
        return "zero area"
    if image_hw is None:
        return None
    height, width = image_hw
    return "outside" if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height else None


def check_boxes(
    name: str, boxes_xyxy: ArrayLike, image_hw: tuple[int, int] | None = None
) -> np.ndarray:
    """Converts boxes to (N, 4) float32 and refuses the first faulty one by index and value.

    Args:
        name: what to call the argument in the message.
        boxes_xyxy: numbers of shape (N, 4), in pixels of the image.
        image_hw: (height, width); when given, boxes outside the image are refused as well.

    Raises:
        InvalidInputError: for a wrong shape, or a box not finite, inverted, empty or outside.
    """
    boxes = as_boxes(name, boxes_xyxy)
    for index, box in enumerate(boxes.tolist()):
        fault = box_fault(box, image_hw)
        if fault is not None:
            image = "" if image_hw is None else f" of an image of {image_hw[1]}x{image_hw[0]}"
            raise InvalidInputError(
                f"{name}[{index}]: {fault}: got {box}, expected finite"
                f" x0 < x1, y0 < y1 in pixels{image}"
            )
    return boxes


def clip_boxes(
    boxes_xyxy: ArrayLike, image_hw: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Sorts a detector's boxes into good ones, clipped to the image, and faulty ones.

    Args:
        boxes_xyxy: numbers of shape (N, 4), in pixels of the image; any value, NaN included.
        image_hw: (height, width) of the image.

    Returns:
        The K good boxes (K, 4) float32 clipped to the image, which of the N were kept (N,) bool,
        and the N - K faults of the others, in their order (see `box_faults`).

    Raises:
        InvalidInputError: when the array as a whole is not (N, 4) numbers.

    >>> boxes, keep, reasons = clip_boxes([[-5, 2, 8, 9], [7, 7, 3, 9]], (10, 10))
    >>> boxes.tolist(), keep.tolist(), reasons
    ([[0.0, 2.0, 8.0, 9.0]], [True, False], ('inverted',))
    """
    height, width = check_hw("image_hw", image_hw)
    boxes = as_boxes("boxes_xyxy", boxes_xyxy)
    faults = box_faults(boxes, (height, width))
    keep = np.array([fault is None for fault in faults], dtype=bool)
    limits = np.array([width, height, width, height], dtype=np.float32)
    reasons = tuple(fault for fault in faults if fault is not None)
    return np.clip(boxes[keep], 0, limits), keep, reasons


def expand_boxes(
    boxes_xyxy: ArrayLike, factor: float = 1.2, image_hw: tuple[int, int] | None = None
) -> np.ndarray:
    """Scales width and height of each box about its centre: the region of M_spec (paper 3.2, 4.1).

    Args:
        boxes_xyxy: boxes (N, 4), in pixels.
        factor: of width and height; 1.2 makes the area 1.44 times larger.
        image_hw: (height, width); when given, the result is clipped to the image.

    Returns:
        Boxes (N, 4) float32.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float32).reshape(-1, 4)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) * np.float32(factor / 2)
    expanded = np.concatenate([centre - half, centre + half], axis=1)
    if image_hw is None:
        return expanded
    height, width = image_hw
    return np.clip(expanded, 0, np.array([width, height, width, height], dtype=np.float32))


def box_iou(boxes_a: ArrayLike, boxes_b: ArrayLike) -> np.ndarray:
    """Intersection over union of every box of (N, 4) with every box of (M, 4): (N, M) float32.

    Boxes without area have IoU 0 with everything.
    """
    a = np.asarray(boxes_a, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(boxes_b, dtype=np.float64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(sides, 0, None).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    iou = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou.astype(np.float32)


def boxes_to_masks(boxes_xyxy: ArrayLike, hw: tuple[int, int]) -> np.ndarray:
    """Draws each box as a filled mask (N, H, W) bool: the pixels whose centres it contains.

    A box that overlaps the image but holds no pixel centre marks the one pixel under its centre.
    """
    hw = check_hw("hw", hw)
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    masks = np.zeros((len(boxes), *hw), dtype=bool)
    for mask, box in zip(masks, boxes, strict=True):
        x0, y0, x1, y1 = covered_pixels(box, hw)
        mask[y0:y1, x0:x1] = True
    return masks


def covered_pixels(box_xyxy: ArrayLike, hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """Half-open box of the pixels that `boxes_to_masks` marks; zeros outside the image."""
    (height, width), (x0, y0, x1, y1) = hw, np.asarray(box_xyxy, dtype=np.float64)
    if not (x0 < width and y0 < height and x1 > 0 and y1 > 0):
        return 0, 0, 0, 0
    (left, right), (top, bottom) = _covered(x0, x1, width), _covered(y0, y1, height)
    return left, top, right, bottom


def _covered(low: float, high: float, size: int) -> tuple[int, int]:
    """The pixels of an axis of `size` whose centres lie in [low, high), at least one."""
    low, high = max(low, 0.0), min(high, float(size))
    first, last = int(np.ceil(low - 0.5)), int(np.ceil(high - 0.5))
    if first < last:
        return first, last
    pixel = min(int((low + high) / 2), size - 1)
    return pixel, pixel + 1
