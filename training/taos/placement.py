# SPDX-License-Identifier: Apache-2.0
"""Where to put an object: all positions at once, by correlating small masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.taos.blend import overlap_window

_COARSE_SIDE = 48
_TRIES = 8
_GAP_PX = 8


@dataclass(frozen=True, eq=False)
class CoverageMap:
    """Share of the target that a patch covers, for every coarse position of the patch.

    Attributes:
        share: (rows, columns) float32.
        step: coarse pixel size in image pixels.
        x0: image column of the patch's left edge at column 0 of the map.
        y0: image row of its top edge at row 0.
    """

    share: np.ndarray
    step: float
    x0: float
    y0: float

    def position(self, row: int, column: int) -> tuple[int, int]:
        """(x, y) of the patch's top left corner in image pixels."""
        return round(self.x0 + column * self.step), round(self.y0 + row * self.step)


def coverage_map(target: np.ndarray, patch: np.ndarray, margin_px: int = 0) -> CoverageMap:
    """Coverage of `target` by `patch` at every coarse offset.

    Args:
        target: (H, W) bool, not empty.
        patch: (h, w) bool, not empty.
        margin_px: grows the target by that many pixels first (to look for contact).
    """
    x, y, width, height = cv2.boundingRect(target.view(np.uint8))
    step = max(1.0, max(width, height, *patch.shape) / _COARSE_SIDE)
    crop: np.ndarray = target[y : y + height, x : x + width].astype(np.float32)
    if margin_px:
        crop = np.pad(crop, margin_px)
        crop = cv2.dilate(crop, np.ones((2 * margin_px + 1, 2 * margin_px + 1), np.uint8))
    small = _shrink(crop, step)
    piece = _shrink(patch.astype(np.float32), step)
    rows, columns = piece.shape
    padded = np.pad(small, ((rows, rows), (columns, columns)))
    score = cv2.matchTemplate(padded, piece, cv2.TM_CCORR)
    share = score / max(float(small.sum()), 1e-6)
    return CoverageMap(share, step, x - margin_px - columns * step, y - margin_px - rows * step)


def _shrink(mask: np.ndarray, step: float) -> np.ndarray:
    size = (max(1, round(mask.shape[1] / step)), max(1, round(mask.shape[0] / step)))
    return cv2.resize(mask, size, interpolation=cv2.INTER_AREA)


def covered_share(target: np.ndarray, patch: np.ndarray, x: int, y: int, whole: int) -> float:
    """|target and patch at (x, y)| / whole, at full resolution."""
    windows = overlap_window(patch.shape, x, y, target.shape)
    if windows is None:
        return 0.0
    return int(np.count_nonzero(target[windows[0]] & patch[windows[1]])) / whole


def place_with_overlap(
    rng: np.random.Generator,
    target: np.ndarray,
    patch: np.ndarray,
    wanted: float,
    limits: tuple[float, float],
) -> tuple[int, int, float] | None:
    """A random position where `patch` covers about `wanted` of the target.

    Args:
        rng: draws among all positions that fit.
        target: (H, W) bool, the part of the target not covered yet.
        patch: (h, w) bool.
        wanted: share of `target` to cover; less if the patch is too small for it.
        limits: range the exact share must lie in.

    Returns:
        (x, y, exact share), or None if no position fits.
    """
    whole = int(np.count_nonzero(target))
    if whole == 0 or not patch.any():
        return None
    coverage = coverage_map(target, patch)
    goal = min(wanted, 0.95 * float(coverage.share.max()))
    distance = np.abs(coverage.share - goal)
    rows, columns = np.nonzero(distance <= 0.03)
    if len(rows) == 0:
        rows, columns = np.nonzero(distance <= distance.min())
    for pick in rng.permutation(len(rows))[:_TRIES]:
        x, y = coverage.position(int(rows[pick]), int(columns[pick]))
        share = covered_share(target, patch, x, y, whole)
        if limits[0] <= share <= limits[1]:
            return x, y, share
    return None


def place_touching(
    rng: np.random.Generator, target: np.ndarray, patch: np.ndarray
) -> tuple[int, int] | None:
    """A random position where `patch` touches the target without covering any of it."""
    coverage = coverage_map(target, patch)
    near = coverage_map(target, patch, margin_px=6)
    # The two maps have different origins; search the contact ring on the wider one.
    rows, columns = np.nonzero((near.share > 0.002) & (near.share < 0.03))
    if len(rows) == 0 or coverage.share.max() <= 0:
        return None
    ys, xs = np.nonzero(target)
    centre = np.array([xs.mean(), ys.mean()])
    for pick in rng.permutation(len(rows))[:_TRIES]:
        start = np.array(near.position(int(rows[pick]), int(columns[pick])), np.float64)
        found = _slide_to_contact(target, patch, start, centre)
        if found is not None:
            return found
    return None


def _slide_to_contact(
    target: np.ndarray, patch: np.ndarray, start: np.ndarray, centre: np.ndarray
) -> tuple[int, int] | None:
    """Moves along the line to the target's centre until the next pixel would overlap."""
    middle = start + np.array(patch.shape[::-1]) / 2
    direction = centre - middle
    length = float(np.hypot(*direction))
    if length < 1.0:
        return None
    direction /= length

    def overlaps(distance: float) -> bool:
        x, y = np.round(start + distance * direction).astype(int)
        return covered_share(target, patch, int(x), int(y), 1) > 0

    low, high = -40.0, min(40.0, length)
    if overlaps(low) or not overlaps(high):
        return None
    while high - low > 0.5:
        half = (low + high) / 2
        low, high = (low, half) if overlaps(half) else (half, high)
    x, y = np.round(start + low * direction).astype(int)
    return int(x), int(y)


def place_apart(
    rng: np.random.Generator, target: np.ndarray, patch: np.ndarray
) -> tuple[int, int] | None:
    """A random position inside the image, at least `_GAP_PX` away from the target."""
    room = (target.shape[1] - patch.shape[1], target.shape[0] - patch.shape[0])
    if min(room) <= 0:
        return None
    kernel = np.ones((2 * _GAP_PX + 1, 2 * _GAP_PX + 1), np.uint8)
    grown = cv2.dilate(target.astype(np.uint8), kernel).astype(bool)
    for _ in range(_TRIES):
        x, y = int(rng.integers(room[0])), int(rng.integers(room[1]))
        if covered_share(grown, patch, x, y, 1) == 0:
            return x, y
    return None
