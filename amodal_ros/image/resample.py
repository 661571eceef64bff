# SPDX-License-Identifier: Apache-2.0
"""Resampling of masks and logits between two frames: separable, restricted to where something is.

Numpy rather than `cv2.warpAffine`: that rounds coordinates to 1/32 pixel, and differently for each
origin of a region, so that a part of a warp would not equal the same part of the whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.masks import mask_box

_BLOCK = 2**16  # target pixels that are worked out at once: the work arrays fit in the L2 cache


@dataclass(frozen=True)
class AxisMap:
    """How a target axis lies on a source axis: source = target * scale + offset.

    Attributes:
        target_size: number of target pixels.
        source_size: number of source pixels.
        scale: source pixels per target pixel, positive.
        offset: source coordinate of target coordinate 0 (continuous: pixel i covers [i, i + 1)).
    """

    target_size: int
    source_size: int
    scale: float
    offset: float

    def positions(self, first: int = 0, last: int | None = None) -> np.ndarray:
        """Continuous source coordinates float64 of the centres of target pixels [first, last)."""
        last = self.target_size if last is None else last
        return (np.arange(first, last) + 0.5) * self.scale + self.offset

    def around(self, low: float, high: float) -> tuple[int, int]:
        """First and last (excluded) target pixel about source coordinates, with some beside."""
        ends = (low - self.offset) / self.scale, (high - self.offset) / self.scale
        first = min(max(math.floor(ends[0]) - 2, 0), self.target_size)
        return first, max(min(math.ceil(ends[1]) + 2, self.target_size), first)


def nearest_mask(mask: CroppedMask, rows: AxisMap, columns: AxisMap, out: np.ndarray) -> None:
    """Writes 1 into `out` where the source pixel under a target pixel's centre is set.

    Args:
        mask: the source.
        rows: target rows to source rows.
        columns: target columns to source columns.
        out: the target (h, w), all zero on entry; any number type.
    """
    if mask.is_empty:
        return
    x0, y0, x1, y1 = mask.box_xyxy
    target_rows, source_rows = _nearest_within(rows, y0, y1)
    target_columns, source_columns = _nearest_within(columns, x0, x1)
    across, down = source_columns - x0, source_rows - y0
    if len(down) > y1 - y0:  # whole rows are repeated faster than pixels in them
        part = mask.crop.take(across, axis=1).take(down, axis=0)
    else:
        part = mask.crop.take(down, axis=0).take(across, axis=1)
    out[target_rows, target_columns] = part


def _nearest_within(axis: AxisMap, low: int, high: int) -> tuple[slice, np.ndarray]:
    """The run of target pixels whose source pixel is in [low, high), and those source pixels."""
    source = np.floor(axis.positions()).astype(np.intp)
    first, last = np.searchsorted(source, [low, high])
    return slice(int(first), int(last)), source[first:last]


def threshold_logits(
    logits: np.ndarray, rows: AxisMap, columns: AxisMap, threshold: float, whole: bool = False
) -> CroppedMask:
    """Where bilinearly interpolated logits exceed a threshold.

    A target pixel whose centre falls outside the source is not set; inside, the border pixels are
    repeated, as in torch's `interpolate(align_corners=False)`.

    Args:
        logits: the source (s, s) float32.
        rows: target rows to source rows.
        columns: target columns to source columns.
        threshold: a pixel is set where its logit is greater.
        whole: interpolate the whole map rather than the part that can exceed the threshold; the
            result is the same.

    Returns:
        The mask of the target.
    """
    target_hw = rows.target_size, columns.target_size
    box = (0, 0, logits.shape[1], logits.shape[0])
    if not whole:
        box = mask_box(logits > threshold)
        if box[2] == 0:
            return CroppedMask.empty(target_hw)
    target_rows, low_rows, row_weights = _linear_within(rows, box[1], box[3])
    target_columns, low_columns, column_weights = _linear_within(columns, box[0], box[2])
    if target_rows.start >= target_rows.stop or target_columns.start >= target_columns.stop:
        return CroppedMask.empty(target_hw)
    # No other rows of the source are needed.
    first = int(low_rows[0])
    wide = _mix_columns(logits[first : int(low_rows[-1]) + 2], low_columns, column_weights)
    part = np.empty((len(low_rows), len(low_columns)), bool)
    _mix_rows_above(wide, low_rows - first, row_weights, threshold, part)
    return CroppedMask.at(target_hw, (target_columns.start, target_rows.start), part)


def _linear_within(axis: AxisMap, low: int, high: int) -> tuple[slice, np.ndarray, np.ndarray]:
    """The run of target pixels that a source pixel in [low, high) takes part in.

    Returns:
        The run, the lower source pixel of each, and the weight float32 of the next source pixel.
    """
    begin, lower, weights = _linear(axis)
    # Pixel p mixes source pixels lower[p] and lower[p] + 1.
    first, last = lower.searchsorted((low - 1, high)).tolist()
    return slice(begin + first, begin + last), lower[first:last], weights[first:last]


@lru_cache(maxsize=64)
def _linear(axis: AxisMap) -> tuple[int, np.ndarray, np.ndarray]:
    """The first target pixel in the source, and of all that are: lower source pixel and weight.

    Kept, as both masks of an object lie on the same axes.
    """
    begin, end = axis.around(0, axis.source_size)
    positions = axis.positions(begin, end)
    first, last = positions.searchsorted((0, axis.source_size)).tolist()
    centred = np.clip(positions[first:last] - 0.5, 0, axis.source_size - 1)
    lower = np.minimum(np.floor(centred).astype(np.intp), max(axis.source_size - 2, 0))
    weights = (centred - lower).astype(np.float32)
    for kept in (lower, weights):
        kept.flags.writeable = False
    return begin + first, lower, weights


def _mix_columns(logits: np.ndarray, lower: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Interpolates every row of (r, s) at the given columns: (r, w) float32."""
    left = logits.take(lower, axis=1)
    mixed = logits.take(np.minimum(lower + 1, logits.shape[1] - 1), axis=1)
    mixed -= left
    mixed *= weights
    mixed += left
    return mixed


def _mix_rows_above(
    wide: np.ndarray, lower: np.ndarray, weights: np.ndarray, threshold: float, out: np.ndarray
) -> None:
    """Interpolates (r, w) at the given rows; sets `out` (h, w) where above the threshold."""
    steps = np.diff(wide, axis=0, append=wide[-1:])
    rows = max(_BLOCK // wide.shape[1], 1)
    for start in range(0, len(lower), rows):
        block = slice(start, start + rows)
        values = steps.take(lower[block], axis=0)
        values *= weights[block, None]
        values += wide.take(lower[block], axis=0)
        np.greater(values, threshold, out=out[block])
