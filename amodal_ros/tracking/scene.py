# SPDX-License-Identifier: Apache-2.0
"""How the picture moves between two frames: points that are followed, motions they share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask

_SIDE = 320  # longer side of the thumbnail, pixels
_MOST_CORNERS = 800
_POINT_GAP = 5
_CELLS_HW = (6, 8)  # points are spread, or one object of much texture would have them all
_CELL_POINTS = 8
# OpenCV takes eight columns in one step and what is left of a row one by one: a window of 11 x 11
# pixels takes one and a half times as long.
_FLOW_WINDOW = (16, 8)
_FLOW_LEVELS = 3
_FLOW_STEPS = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 10, 0.03)
_RETURN_PX = 1.0  # a point must come back this close when it is followed backwards
_INLIER_PX = 0.75
_FEWEST_INLIERS = 12
_LEAST_SHARE = 0.1
_MOST_MOTIONS = 4
_SMALLER = 5  # thumbnail's pixels in one of the picture that tells a cut
_FLAT = 4.0  # grey levels: a picture with less contrast says nothing (lens cap, black frame)
_BINS = 6  # of each colour
# Measured on rendered clips: of one scene a twelfth of a second apart, at least 0.81 of the points
# can be followed; 1 s and up to 40 degrees apart sometimes none, but then the correlation is above
# 0.35 and the colours overlap by more than 0.69. Of two scenes 0.03, 0.61 and 0.68 at most.
_FOLLOWED = 0.12
_LIKE = 0.35
_SAME = 0.75  # only the light differs
_COLOURS = 0.6


@dataclass(frozen=True, eq=False)
class SceneView:
    """What is kept of a frame.

    Attributes:
        rgb: (h, w, 3) uint8 thumbnail.
        grey: (h, w) uint8, likewise.
        scale_xy: (2,) float64, original pixels in one of the thumbnail's.
    """

    rgb: np.ndarray
    grey: np.ndarray
    scale_xy: np.ndarray

    @cached_property
    def _tiny(self) -> np.ndarray:
        """(s, t, 3) uint8: a smaller picture, in which a cut is told."""
        height, width = self.grey.shape
        size = max(width // _SMALLER, 1), max(height // _SMALLER, 1)
        return np.asarray(cv2.resize(self.rgb, size, interpolation=cv2.INTER_AREA))

    @cached_property
    def is_flat(self) -> bool:
        """Whether nothing can be told from it."""
        grey = cv2.cvtColor(self._tiny, cv2.COLOR_RGB2GRAY)
        return bool(cv2.meanStdDev(grey)[1][0, 0] < _FLAT)

    @cached_property
    def small(self) -> np.ndarray:
        """(s, t) float32: a smaller grey picture without mean and with length 1; zeros if flat."""
        small = cv2.cvtColor(self._tiny, cv2.COLOR_RGB2GRAY).astype(np.float32)
        small -= small.mean()
        return np.zeros_like(small) if self.is_flat else small / np.linalg.norm(small)

    @cached_property
    def colours(self) -> np.ndarray:
        """(216,) float32, histogram with sum 1."""
        found = cv2.calcHist([self._tiny], [0, 1, 2], None, [_BINS] * 3, [0, 256] * 3).ravel()
        return np.asarray(found / found.sum())

    @classmethod
    def of(cls, image_rgb: np.ndarray) -> SceneView:
        """That of an image (H, W, 3) uint8 RGB."""
        height, width = image_rgb.shape[:2]
        ratio = min(_SIDE / max(height, width), 1.0)
        size = max(round(width * ratio), 1), max(round(height * ratio), 1)
        # Four pixels make one: to read all of them takes four times as long.
        thumbnail = cv2.resize(image_rgb, size, interpolation=cv2.INTER_LINEAR)
        grey = cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY)
        scale_xy = np.array([width / size[0], height / size[1]])
        return cls(thumbnail, grey, scale_xy)


@dataclass(frozen=True, eq=False)
class SceneMotion:
    """What happened between two frames.

    Attributes:
        cut: they do not show the same scene from nearly the same place.
        before_xy: (K, 2) float64, points of the earlier frame that were found again.
        after_xy: (K, 2) float64, where.
        looked_for: number of points that were looked for.
        pixel: of the thumbnail in which they were followed, in original ones.
        side_px: longer side of the picture, original pixels.
        own: what `own_motion` found for masks and motions of the camera.
    """

    cut: bool
    before_xy: np.ndarray
    after_xy: np.ndarray
    looked_for: int = 0
    pixel: float = 1.0
    side_px: float = 0.0
    _on: dict[CroppedMask, np.ndarray] = field(default_factory=dict, init=False, repr=False)
    _beside: dict[bytes, np.ndarray] = field(default_factory=dict, init=False, repr=False)
    own: dict[tuple[CroppedMask, bytes], np.ndarray | None] = field(
        default_factory=dict, init=False, repr=False
    )

    @cached_property
    def shared(self) -> tuple[np.ndarray, ...]:
        """Motions (2, 3) float64 that many points share, most first, original pixels."""
        return shared_motions(self.before_xy, self.after_xy, self.pixel)

    @cached_property
    def middle(self) -> np.ndarray:
        """(2,) float64, of the points of the earlier frame."""
        return np.asarray(self.before_xy.mean(axis=0))

    @cached_property
    def _pixels(self) -> np.ndarray:
        """(K, 2) int64: those that the points of the earlier frame lie in."""
        return np.floor(self.before_xy).astype(np.int64)

    def on(self, mask: CroppedMask) -> np.ndarray:
        """(n,) int, which points of the earlier frame lie on a mask of it; found once."""
        if mask not in self._on:
            self._on[mask] = np.flatnonzero(mask.contains(self._pixels))
        return self._on[mask]

    def beside(self, motion: np.ndarray) -> np.ndarray:
        """(K, 2) float64, how the points moved beside a motion (2, 3); found once for each."""
        key = motion.tobytes()
        if key not in self._beside:
            moved = self.before_xy @ motion[:, :2].T + motion[:, 2]
            self._beside[key] = self.after_xy - moved
        return self._beside[key]

    @classmethod
    def unknown(cls, cut: bool = False) -> SceneMotion:
        """Nothing can be told."""
        return cls(cut, np.zeros((0, 2)), np.zeros((0, 2)))

    def part(self, chosen: np.ndarray) -> SceneMotion:
        """That of some of the points alone, (K,) bool; what was looked for is in proportion."""
        if chosen.all():
            return self
        before_xy, after_xy = self.before_xy[chosen], self.after_xy[chosen]
        looked_for = round(self.looked_for * len(before_xy) / max(len(chosen), 1))
        return replace(self, before_xy=before_xy, after_xy=after_xy, looked_for=looked_for)


def scene_motion(before: SceneView, after: SceneView) -> SceneMotion:
    """Compares two frames of one size.

    A cut: hardly a point can be followed, and the small pictures do not correlate or the colours
    are others. Light that changes leaves a high correlation, a fast pan the colours and some. A
    large thing that comes before the lens, or goes, from one frame to the next leaves the colours,
    too, and few points, but those move as one; of two scenes hardly three points do.
    A frame without contrast is never a cut.
    """
    if before.is_flat or after.is_flat:
        return SceneMotion.unknown()
    points, moved, looked_for = _follow(before.grey, after.grey)
    if len(points) < _FOLLOWED * looked_for:
        likeness = float(np.vdot(before.small, after.small))
        same_colours = float(np.minimum(before.colours, after.colours).sum()) >= _COLOURS
        unlike = likeness < _LIKE or (likeness < _SAME and not same_colours)
        if unlike and not (same_colours and shared_motions(points, moved, 1.0)):
            return SceneMotion.unknown(cut=True)
    before_xy = (points + 0.5) * before.scale_xy
    after_xy = (moved + 0.5) * before.scale_xy
    pixel = float(before.scale_xy.max())
    side_px = float((np.array(before.grey.shape[::-1]) * before.scale_xy).max())
    return SceneMotion(False, before_xy, after_xy, looked_for, pixel, side_px)


def _follow(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Corners of a thumbnail that are found in another and from there found back.

    Returns:
        Points (K, 2) float64 of `before` and of `after`, OpenCV's pixels, and how many corners
        were looked for.
    """
    corners = cv2.goodFeaturesToTrack(before, _MOST_CORNERS, 0.003, _POINT_GAP)
    if corners is None:
        return np.zeros((0, 2)), np.zeros((0, 2)), 0
    corners = _spread(corners, before.shape)
    there, found = _flow(before, after, corners)
    back, found_back = _flow(after, before, there)
    away = np.square((back - corners)[:, 0])
    good = found & found_back & (away[:, 0] + away[:, 1] < _RETURN_PX**2)
    return (
        corners[good, 0].astype(np.float64),
        there[good, 0].astype(np.float64),
        len(corners),
    )


def _flow(
    before: np.ndarray, after: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where points (K, 1, 2) float32 went, and whether they were found (K,) bool."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        *(before, after, points, np.empty_like(points)),
        winSize=_FLOW_WINDOW,
        maxLevel=_FLOW_LEVELS,
        criteria=_FLOW_STEPS,
        # Else it computes by how much each point's window changed, in a tenth of the time, and
        # drops those whose window lies outside the picture.
        flags=cv2.OPTFLOW_LK_GET_MIN_EIGENVALS,
    )
    half = (np.array(_FLOW_WINDOW, np.float32) - 1) / 2
    corner = there[:, 0] - half
    inside = (corner >= -np.array(_FLOW_WINDOW)) & (corner < before.shape[::-1])
    return there, found[:, 0].astype(bool) & inside[:, 0] & inside[:, 1]


def _spread(corners: np.ndarray, hw: tuple[int, ...]) -> np.ndarray:
    """The best corners (K, 1, 2) of each cell of the picture, from (N, 1, 2), best first."""
    rows, columns = _CELLS_HW
    x, y = corners[:, 0].T
    cells = (y * rows // hw[0]) * columns + x * columns // hw[1]
    order = np.argsort(cells.astype(np.int16), kind="stable")  # numbers so short take no time
    first = np.searchsorted(cells[order], cells[order])
    return corners[np.sort(order[np.arange(len(order)) - first < _CELL_POINTS])]


def shared_motions(
    before_xy: np.ndarray, after_xy: np.ndarray, pixel: float
) -> tuple[np.ndarray, ...]:
    """Shift, turn and scale (2, 3) that many points share, most first: camera or large objects.

    Args:
        before_xy: (K, 2) original pixels.
        after_xy: (K, 2) likewise.
        pixel: of the thumbnail, in original ones.
    """
    motions: list[np.ndarray] = []
    fewest = max(_FEWEST_INLIERS, _LEAST_SHARE * len(before_xy))
    while len(motions) < _MOST_MOTIONS and len(before_xy) >= fewest:
        matrix, inliers = cv2.estimateAffinePartial2D(
            before_xy,
            after_xy,
            method=cv2.RANSAC,
            ransacReprojThreshold=_INLIER_PX * pixel,
            maxIters=200,
            confidence=0.99,
            refineIters=0,  # `_fitted` takes a third of the time
        )
        if matrix is None or int(inliers.sum()) < fewest:
            break
        share = inliers.ravel() > 0
        motions.append(_fitted(before_xy[share], after_xy[share]))
        before_xy, after_xy = before_xy[~share], after_xy[~share]
    return tuple(motions)


def _fitted(before_xy: np.ndarray, after_xy: np.ndarray) -> np.ndarray:
    """Shift, turn and scale (2, 3) by least squares from points (K, 2), not all in one place.

    As complex numbers, where turning and scaling is to multiply by one.
    """
    before, after = (np.ascontiguousarray(xy).view(complex)[:, 0] for xy in (before_xy, after_xy))
    middle, there = before.mean(), after.mean()
    spread = before - middle
    turn = np.vdot(spread, after - there) / np.vdot(spread, spread).real
    shift = there - turn * middle
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
