# SPDX-License-Identifier: Apache-2.0
"""Points of a picture that are followed from frame to frame: corners, by Lucas-Kanade flow."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_MOST_CORNERS = 800
_POINT_GAP = 5
_CELLS_HW = (6, 8)  # points are spread, or one object of much texture would have them all
_CELL_POINTS = 8
# Corners are looked for every so many frames, and at once where fewer of them are still found.
_FRAMES, _STILL_FOUND = 3, 0.9
# OpenCV takes eight columns in one step and what is left of a row one by one: a window of 11 x 11
# pixels takes one and a half times as long.
_WINDOW = (16, 8)
_LEVELS = 3
_STEPS = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 10, 0.03)
_RETURN_PX = 1.0  # a point must come back this close when it is followed backwards
# A point about which the picture hardly changed (grey levels) is followed backwards from where it
# should come back to: that takes a fifth of the time. Between unlike clips hardly a point in a
# thousand comes back so.
_ALIKE = 5.0
_NEAR_LEVELS = 0
_NEAR_STEPS = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 10, 0.1)


@dataclass(frozen=True, eq=False)
class Points:
    """Points of a thumbnail that are worth following.

    Attributes:
        xy: (K, 1, 2) float32, OpenCV's pixels.
        corners: how many there were when they were looked for.
        age: in how many frames they were followed since.
    """

    xy: np.ndarray
    corners: int
    age: int = 0

    def followed(self, xy: np.ndarray) -> Points | None:
        """Those (n, 2) that were found in the next frame; None: corners are to be looked for."""
        age = self.age + 1
        if age == _FRAMES or not len(xy) or len(xy) < _STILL_FOUND * self.corners:
            return None
        return Points(xy[:, None].astype(np.float32), self.corners, age)


def corners(grey: np.ndarray) -> Points:
    """Corners of a thumbnail (h, w) uint8, spread over it."""
    found = cv2.goodFeaturesToTrack(grey, _MOST_CORNERS, 0.003, _POINT_GAP)
    xy = np.zeros((0, 1, 2), np.float32) if found is None else _spread(found, grey.shape)
    return Points(xy, len(xy))


def follow(
    points: np.ndarray, before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The points that are found in another thumbnail, and from there found back.

    Args:
        points: (K, 1, 2) float32, OpenCV's pixels.
        before: (h, w) uint8, the thumbnail in which they lie.
        after: (h, w) uint8, the other one.

    Returns:
        Points (n, 2) float64 of `before` and of `after`.
    """
    if not len(points):
        return np.zeros((0, 2)), np.zeros((0, 2))
    there, found, change = _flow(before, after, points)
    alike = change < _ALIKE
    for rows, nearby in ((found & alike, True), (found & ~alike, False)):
        if rows.any():
            found[rows] = _came_back(points[rows], there[rows], before, after, nearby)
    return points[found, 0].astype(np.float64), there[found, 0].astype(np.float64)


def _came_back(
    points: np.ndarray, there: np.ndarray, before: np.ndarray, after: np.ndarray, nearby: bool
) -> np.ndarray:
    """(K,) bool: which points (K, 1, 2), found `there`, are found back in the first thumbnail.

    Args:
        points: in the first thumbnail.
        there: in the other one.
        before: the first thumbnail.
        after: the other one.
        nearby: they are looked for about where they were alone.
    """
    back, found, _ = _flow(after, before, there, points if nearby else None)
    away = np.square((back - points)[:, 0])
    return np.asarray(found & (away[:, 0] + away[:, 1] < _RETURN_PX**2))


def _flow(
    before: np.ndarray, after: np.ndarray, points: np.ndarray, near: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where points (K, 1, 2) float32 of one thumbnail lie in another.

    Args:
        before: the thumbnail in which they lie.
        after: the other one.
        points: the points.
        near: (K, 1, 2) float32, about where they are looked for; None: anywhere.

    Returns:
        The places (K, 1, 2) float32, whether they were found (K,) bool, and by how many grey
        levels the picture about them changed (K,) float32.
    """
    levels, steps, flags = _LEVELS, _STEPS, 0
    if near is not None:
        levels, steps, flags = _NEAR_LEVELS, _NEAR_STEPS, cv2.OPTFLOW_USE_INITIAL_FLOW
    there, found, change = cv2.calcOpticalFlowPyrLK(
        *(before, after, points, np.empty_like(points) if near is None else near.copy()),
        winSize=_WINDOW,
        maxLevel=levels,
        criteria=steps,
        flags=flags,
    )
    return there, found[:, 0] > 0, change[:, 0]


def _spread(corners: np.ndarray, hw: tuple[int, ...]) -> np.ndarray:
    """The best corners (K, 1, 2) of each cell of the picture, from (N, 1, 2), best first."""
    rows, columns = _CELLS_HW
    x, y = corners[:, 0].T
    cells = (y * rows // hw[0]) * columns + x * columns // hw[1]
    order = np.argsort(cells.astype(np.int16), kind="stable")  # numbers so short take no time
    first = np.searchsorted(cells[order], cells[order])
    return corners[np.sort(order[np.arange(len(order)) - first < _CELL_POINTS])]
