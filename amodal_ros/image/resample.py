# SPDX-License-Identifier: Apache-2.0
"""Resampling of masks and logits between two frames, and resizing of images as SAM expects it.

Masks and logits: separable, restricted to where something is. Numpy rather than `cv2.warpAffine`:
that rounds coordinates to 1/32 pixel, and differently for each origin of a region, so that a part
of a warp would not equal the same part of the whole.

Images: Pillow's bilinear filter, with which SAM was trained, by OpenCV's fast parts.
`segment_anything` resizes with Pillow, which smooths where it shrinks and rounds after each axis.
A mask moves by up to 2 % of its area where a resize is off by a single grey level, so it matters.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.masks import mask_box

_HALF = np.float32(0.5 + 2**-12)  # of a level, with room for what float32 rounds off of a half
_ROWS_PER_BLOCK = 48  # keeps the work arrays of a full-width block within the L2 cache


@dataclass(frozen=True, eq=False)
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
    part = mask.crop.take(source_rows - y0, axis=0).take(source_columns - x0, axis=1)
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
    wide = _mix_columns(logits, low_columns, column_weights)
    part = np.empty((len(low_rows), len(low_columns)), bool)
    _mix_rows_above(wide, low_rows, row_weights, threshold, part)
    return CroppedMask.at(target_hw, (target_columns.start, target_rows.start), part)


def _linear_within(axis: AxisMap, low: int, high: int) -> tuple[slice, np.ndarray, np.ndarray]:
    """The run of target pixels that a source pixel in [low, high) takes part in.

    Returns:
        The run, the lower source pixel of each, and the weight float32 of the next source pixel.
    """
    begin, end = axis.around(low - 1, high + 1)
    positions = axis.positions(begin, end)
    inside = np.searchsorted(positions, [0, axis.source_size])
    centred = np.clip(positions - 0.5, 0, axis.source_size - 1)
    lower = np.minimum(np.floor(centred).astype(np.intp), max(axis.source_size - 2, 0))
    # Pixel p mixes source pixels lower[p] and lower[p] + 1.
    first = max(int(inside[0]), int(np.searchsorted(lower, low - 1)))
    last = min(int(inside[1]), int(np.searchsorted(lower, high)))
    run = slice(first, last)
    weights = (centred[run] - lower[run]).astype(np.float32)
    return slice(begin + first, begin + last), lower[run], weights


def _mix_columns(logits: np.ndarray, lower: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Interpolates every row of (s, s) at the given columns: (s, w) float32."""
    upper = np.minimum(lower + 1, logits.shape[1] - 1)
    left, right = logits.take(lower, axis=1), logits.take(upper, axis=1)
    return left + (right - left) * weights


def _mix_rows_above(
    wide: np.ndarray, lower: np.ndarray, weights: np.ndarray, threshold: float, out: np.ndarray
) -> None:
    """Interpolates (s, w) at the given rows; sets `out` (h, w) where above the threshold."""
    steps = np.diff(wide, axis=0, append=wide[-1:])
    for start in range(0, len(lower), _ROWS_PER_BLOCK):
        block = slice(start, start + _ROWS_PER_BLOCK)
        values = steps.take(lower[block], axis=0)
        values *= weights[block, None]
        values += wide.take(lower[block], axis=0)
        np.greater(values, threshold, out=out[block])


def resize_image(
    image: np.ndarray, hw: tuple[int, int], out: np.ndarray | None = None
) -> np.ndarray:
    """Resizes an image much as Pillow's bilinear filter does.

    Enlarging equals Pillow but where a value lies between two levels; shrinking is close to it
    (the filter has the same width, not the same shape).

    Args:
        image: (H, W, 3) uint8, C-contiguous.
        hw: the new (height, width).
        out: (3, height, width) float32, where to; rows without gaps. None: a new array.

    Returns:
        (3, height, width) float32, planes of whole grey levels.
    """
    planes = np.empty((3, *hw), np.float32) if out is None else out
    if image.shape[0] <= hw[0] and image.shape[1] <= hw[1]:
        _enlarge(image, planes)
        return planes
    small = cv2.resize(_smooth_for(image, hw), hw[::-1], interpolation=cv2.INTER_LINEAR)
    for plane, values in zip(planes, cv2.split(small), strict=True):
        plane[...] = values
    return planes


class _Scratch(threading.local):
    """Two work arrays of a thread: new memory takes longer to be handed out than to be filled."""

    def __init__(self) -> None:
        self._arrays = [np.empty(0, np.float32)] * 2

    def part(self, which: int, shape: tuple[int, ...]) -> np.ndarray:
        """(...) float32 of an array, which grows where it is too small."""
        size = math.prod(shape)
        if self._arrays[which].size < size:
            self._arrays[which] = np.empty(size, np.float32)
        return self._arrays[which][:size].reshape(shape)


_scratch = _Scratch()


def _enlarge(image: np.ndarray, planes: np.ndarray) -> None:
    """Does `resize_image` where no axis shrinks.

    In float32: OpenCV's exact filter for uint8 takes twice as long, and its weights have eight
    bits.
    """
    (height, width), hw = image.shape[:2], planes.shape[1:]
    # Interpolation keeps what is added everywhere: so halves are rounded up after each axis.
    levels = np.add(image, _HALF, out=_scratch.part(0, image.shape), dtype=np.float32)
    if width < hw[1]:
        wide = _scratch.part(1, (height, hw[1], 3))
        levels = cv2.resize(levels, (hw[1], height), wide, interpolation=cv2.INTER_LINEAR)
        np.floor(levels, out=levels)
        levels += _HALF
    if height < hw[0]:
        high = _scratch.part(0, (*hw, 3))
        levels = cv2.resize(levels, hw[::-1], high, interpolation=cv2.INTER_LINEAR)
    cv2.split(levels, list(planes))
    np.floor(planes, out=planes)


def _smooth_for(image: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """Widens, along each axis that shrinks, the filter that linear interpolation will be.

    Pillow's triangle reaches `ratio` source pixels to each side: variance ratio^2 / 6. Averages
    over blocks of k pixels, three taps (a, 1 - 2a, a) and linear interpolation together have
    (k^2 - 1) / 12 + k^2 (2a + 1/6); a makes the two equal.
    """
    sizes = zip(image.shape[:2], hw, strict=True)
    ratios = [max(before / after, 1.0) for before, after in sizes]
    blocks = [math.ceil(ratio / 2) for ratio in ratios]
    if max(blocks) > 1:
        reduced = [round(size / k) for size, k in zip(image.shape[:2], blocks, strict=True)]
        image = cv2.resize(image, reduced[::-1], interpolation=cv2.INTER_AREA)
    taps = []
    for ratio, k in zip(ratios, blocks, strict=True):
        variance = (ratio**2 / 6 - (k**2 - 1) / 12) / k**2
        side = (variance - 1 / 6) / 2
        taps.append(np.array([side, 1 - 2 * side, side], dtype=np.float32))
    return cv2.sepFilter2D(image, -1, taps[1], taps[0], borderType=cv2.BORDER_REPLICATE)
