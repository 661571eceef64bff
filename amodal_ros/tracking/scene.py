# SPDX-License-Identifier: Apache-2.0
"""How the picture moves between two frames: points that are followed, motions they share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.points import Points, corners, follow

_SIDE = 320  # longer side of the thumbnail, pixels
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

    def _smaller(self, picture: np.ndarray) -> np.ndarray:
        """(s, t, ...) uint8: a smaller one of a thumbnail, in which a cut is told."""
        height, width = self.grey.shape
        size = max(width // _SMALLER, 1), max(height // _SMALLER, 1)
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))

    @cached_property
    def is_flat(self) -> bool:
        """Whether nothing can be told from it."""
        return bool(cv2.meanStdDev(self._smaller(self.grey))[1][0, 0] < _FLAT)

    @cached_property
    def small(self) -> np.ndarray:
        """(s, t) float32: a smaller grey picture without mean and with length 1; zeros if flat."""
        small = self._smaller(self.grey).astype(np.float32)
        small -= small.mean()
        return np.zeros_like(small) if self.is_flat else small / np.linalg.norm(small)

    @cached_property
    def colours(self) -> np.ndarray:
        """(216,) float32, histogram with sum 1."""
        tiny = self._smaller(self.rgb)
        found = cv2.calcHist([tiny], [0, 1, 2], None, [_BINS] * 3, [0, 256] * 3).ravel()
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
        points: of the later frame that are worth following on; None: they are to be looked for.
        own: what `own_motion` found for masks and motions of the camera.
    """

    cut: bool
    before_xy: np.ndarray
    after_xy: np.ndarray
    looked_for: int = 0
    pixel: float = 1.0
    side_px: float = 0.0
    points: Points | None = None
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
    def _pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """(K,) int64, columns and rows of those that the points of the earlier frame lie in."""
        x, y = np.floor(self.before_xy.T).astype(np.int64)
        return x, y

    def on(self, mask: CroppedMask) -> np.ndarray:
        """(n,) int, which points of the earlier frame lie on a mask of it; found once."""
        if mask not in self._on:
            self._on[mask] = mask.which(*self._pixels)
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


def scene_motion(before: SceneView, after: SceneView, points: Points | None = None) -> SceneMotion:
    """Compares two frames of one size.

    A cut: hardly a point can be followed, and the small pictures do not correlate or the colours
    are others. Light that changes leaves a high correlation, a fast pan the colours and some. A
    large thing that comes before the lens, or goes, from one frame to the next leaves the colours,
    too, and few points, but those move as one; of two scenes hardly three points do.
    A frame without contrast is never a cut.

    Args:
        before: the earlier frame.
        after: the later one.
        points: of the earlier one, to be followed on; None: they are looked for.
    """
    if before.is_flat or after.is_flat:
        return SceneMotion.unknown()
    points = corners(before.grey) if points is None else points
    there, moved = follow(points.xy, before.grey, after.grey)
    looked_for = len(points.xy)
    if len(there) < _FOLLOWED * looked_for:
        likeness = float(np.vdot(before.small, after.small))
        same_colours = float(np.minimum(before.colours, after.colours).sum()) >= _COLOURS
        unlike = likeness < _LIKE or (likeness < _SAME and not same_colours)
        if unlike and not (same_colours and shared_motions(there, moved, 1.0)):
            return SceneMotion.unknown(cut=True)
    before_xy = (there + 0.5) * before.scale_xy
    after_xy = (moved + 0.5) * before.scale_xy
    (height, width), (scale_x, scale_y) = before.grey.shape, before.scale_xy.tolist()
    pixel, side_px = max(scale_x, scale_y), max(width * scale_x, height * scale_y)
    following = points.followed(moved)
    return SceneMotion(False, before_xy, after_xy, looked_for, pixel, side_px, following)


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
