# SPDX-License-Identifier: Apache-2.0
"""How the picture moves between two frames: points that are followed, motions they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask, tight_boxes

_SIDE = 320  # longer side of the thumbnail, pixels
_MOST_CORNERS = 800
_POINT_GAP = 4
_HALF = 0.5
_MOSTLY = 0.5  # share of the points
# Points are followed on from frame to frame, for so many frames while so many of them are found.
_FOLLOWED_FRAMES, _MOST_FOLLOWED = 3, 0.8
_CELLS_HW = (6, 8)  # points are spread, or one object of much texture would have them all
_CELL_POINTS = 8  # on objects, which may be small,
_CELL_POINTS_BESIDE = 4  # and beside them, where all tell of the camera
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

    def _tiny(self, picture: np.ndarray) -> np.ndarray:
        """A smaller one of a thumbnail, in which a cut is told."""
        height, width = self.grey.shape
        size = max(width // _SMALLER, 1), max(height // _SMALLER, 1)
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))

    @cached_property
    def _tiny_grey(self) -> np.ndarray:
        """(s, t) uint8."""
        return self._tiny(self.grey)

    @cached_property
    def is_flat(self) -> bool:
        """Whether nothing can be told from it."""
        return bool(cv2.meanStdDev(self._tiny_grey)[1][0, 0] < _FLAT)

    @cached_property
    def small(self) -> np.ndarray:
        """(s, t) float32: a smaller grey picture without mean and with length 1; zeros if flat."""
        small = self._tiny_grey.astype(np.float32)
        small -= small.mean()
        return np.zeros_like(small) if self.is_flat else small / np.linalg.norm(small)

    @cached_property
    def colours(self) -> np.ndarray:
        """(216,) float32, histogram with sum 1."""
        tiny = self._tiny(self.rgb)
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
class Corners:
    """Points of a thumbnail that are worth following.

    Attributes:
        xy: (K, 1, 2) float32, OpenCV's pixels.
        age: in how many frames they were followed since they were looked for.
    """

    xy: np.ndarray
    age: int = 0


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
        corners: of the later frame; None: they are to be looked for.
        own: what `own_motion` found for masks and motions of the camera.
    """

    cut: bool
    before_xy: np.ndarray
    after_xy: np.ndarray
    looked_for: int = 0
    pixel: float = 1.0
    side_px: float = 0.0
    corners: Corners | None = None
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
        """(K,) bool: which points of the earlier frame lie on a mask of it; found once."""
        if mask not in self._on:
            self._on[mask] = mask.contains(self._pixels)
        return self._on[mask]

    def beside(self, camera: np.ndarray) -> np.ndarray:
        """(K, 2) float64: how the points moved beside the camera's motion (2, 3); found once."""
        key = camera.tobytes()
        if key not in self._beside:
            along = self.before_xy @ camera[:, :2].T + camera[:, 2]
            self._beside[key] = self.after_xy - along
        return self._beside[key]

    @classmethod
    def unknown(cls, cut: bool = False) -> SceneMotion:
        """Nothing can be told."""
        return cls(cut, np.zeros((0, 2)), np.zeros((0, 2)))

    def part(self, chosen: np.ndarray) -> SceneMotion:
        """That of some of the points alone, (K,) bool; what was looked for is in proportion."""
        before_xy, after_xy = self.before_xy[chosen], self.after_xy[chosen]
        looked_for = round(self.looked_for * len(before_xy) / max(len(chosen), 1))
        return replace(self, before_xy=before_xy, after_xy=after_xy, looked_for=looked_for)


def scene_motion(
    before: SceneView,
    after: SceneView,
    seen: Sequence[CroppedMask] = (),
    corners: Corners | None = None,
) -> SceneMotion:
    """Compares two frames of one size.

    A cut: hardly a point can be followed, and the small pictures do not correlate or the colours
    are others. Light that changes leaves a high correlation, a fast pan the colours and some. A
    large thing that comes before the lens, or goes, from one frame to the next leaves the colours,
    too, and few points, but those move as one; of two scenes hardly three points do.
    A frame without contrast is never a cut.

    Args:
        before: the earlier frame.
        after: the later one.
        seen: what is visible of objects in the earlier one: there more points are followed.
        corners: of the earlier one; None: they are to be looked for.
    """
    if before.is_flat or after.is_flat:
        return SceneMotion.unknown()
    if corners is None:
        boxes = tight_boxes(seen).reshape(-1, 2, 2) / before.scale_xy
        corners = _corners(before.grey, boxes.reshape(-1, 4))
    looked_for = len(corners.xy)
    points, moved = _follow(before.grey, after.grey, corners.xy)
    if len(points) < _FOLLOWED * looked_for:
        likeness = float(np.vdot(before.small, after.small))
        same_colours = float(np.minimum(before.colours, after.colours).sum()) >= _COLOURS
        if likeness < _LIKE or (likeness < _SAME and not same_colours):
            # Beside a large thing few points are left: as many are asked as there are on objects.
            height, width = before.grey.shape
            corners = _corners(before.grey, np.array([(0, 0, width, height)]))
            looked_for = len(corners.xy)
            points, moved = _follow(before.grey, after.grey, corners.xy)
            if not (same_colours and shared_motions(points, moved, 1.0)):
                return SceneMotion.unknown(cut=True)
    last = corners.age + 1 == _FOLLOWED_FRAMES or len(points) < _MOST_FOLLOWED * looked_for
    following = None if last else Corners(moved[:, None].astype(np.float32), corners.age + 1)
    before_xy, after_xy = (points + 0.5) * before.scale_xy, (moved + 0.5) * before.scale_xy
    pixel = float(before.scale_xy.max())
    side_px = float((np.array(before.grey.shape[::-1]) * before.scale_xy).max())
    return SceneMotion(False, before_xy, after_xy, looked_for, pixel, side_px, following)


def _follow(
    before: np.ndarray, after: np.ndarray, corners: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Corners (K, 1, 2) float32 of a thumbnail that are found in another.

    They are followed back from there, but for those that vouch for each other.

    Returns:
        Points (n, 2) float64 of `before` and of `after`, OpenCV's pixels.
    """
    if not len(corners):
        return np.zeros((0, 2)), np.zeros((0, 2))
    there, found = _flow(before, after, corners)
    unsure = np.flatnonzero(found & ~_move_alike(corners, there, found))
    if len(unsure):
        back, found_back = _flow(after, before, there[unsure])
        away = np.square((back - corners[unsure])[:, 0])
        found[unsure] = found_back & (away[:, 0] + away[:, 1] < _RETURN_PX**2)
    return corners[found, 0].astype(np.float64), there[found, 0].astype(np.float64)


def _corners(grey: np.ndarray, boxes_xyxy: np.ndarray) -> Corners:
    """Corners of a thumbnail, spread over it; in the boxes (N, 4) of objects there are more.

    Looked for in a picture of half the size, in a third of the time: which of two pixels it is
    does not matter where points are followed.
    """
    height, width = grey.shape
    half = cv2.resize(grey, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    found = cv2.goodFeaturesToTrack(half, _MOST_CORNERS, 0.003, _POINT_GAP / 2)
    if found is None:
        return Corners(np.zeros((0, 1, 2), np.float32))
    return Corners(_spread(2 * found + _HALF, grey.shape, boxes_xyxy))


def _move_alike(before: np.ndarray, after: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(K,) bool: the points that vouch for each other: most move so; none where less do."""
    shifts = (after - before)[:, 0]
    middle = len(shifts) // 2  # `np.median` takes ten times as long
    away = np.square(shifts - np.partition(shifts, middle, axis=0)[middle])
    alike = found & (away[:, 0] + away[:, 1] < _INLIER_PX**2)
    return alike if np.count_nonzero(alike) >= _MOSTLY * len(alike) else np.zeros_like(alike)


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


def _spread(corners: np.ndarray, hw: tuple[int, ...], boxes_xyxy: np.ndarray) -> np.ndarray:
    """The best corners (K, 1, 2) of each cell of the picture, from (N, 1, 2), best first.

    Those in boxes (M, 4) and those beside them have places of their own.
    """
    rows, columns = _CELLS_HW
    x, y = corners[:, 0].T
    left, top, right, bottom = boxes_xyxy.T[..., None]
    inside = ((x >= left) & (x < right) & (y >= top) & (y < bottom)).any(axis=0)
    cells = 2 * ((y * rows // hw[0]) * columns + x * columns // hw[1]) + inside
    order = np.argsort(cells.astype(np.int16), kind="stable")  # numbers so short take no time
    first = np.searchsorted(cells[order], cells[order])
    most = np.where(inside[order], _CELL_POINTS, _CELL_POINTS_BESIDE)
    return corners[np.sort(order[np.arange(len(order)) - first < most])]


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
