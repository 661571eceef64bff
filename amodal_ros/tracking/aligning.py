# SPDX-License-Identifier: Apache-2.0
"""Masks that no model looks at in a frame follow the detections of their objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from amodal_ros.image.cropped import BoxXyxy, CroppedMask, tight_boxes
from amodal_ros.tracking.forecast import SMOOTHING, Forecast
from amodal_ros.tracking.track import compose, move_mask, move_points
from amodal_ros.tracking.types import TrackPlan

_SCALED = 0.04  # of a side: edges that move more unlike each other are covered or uncovered
_REAL = 0.06  # of a side: so near to that of the whole shape an edge of what is visible is its own
_LEAST_PX = 1.5
# Of its side: where an object seems to jump further, and none by its other edge, that is the one
# that shows: it has passed behind what hid it.
_PASSED = 0.25
_LEAST_S = 1e-3  # between two frames


def aligned(
    plan: TrackPlan,
    looked: TrackPlan | None = None,
    answers: Sequence[tuple[CroppedMask, CroppedMask]] = (),
) -> TrackPlan:
    """A plan whose forecasts follow the detections where these moved otherwise than measured.

    What is visible of a detected object ends at its box, and begins anew where the box uncovers
    it. Where it overlaps that of another, the one that hides more of the other has it; what is
    visible of detected objects is none of an object without a detection.

    Args:
        plan: of the objects that the model did not look at.
        looked: of those of the same frame that it did; None: there are none.
        answers: their whole and visible masks.
    """
    detected = plan.detection_index >= 0
    if looked is not None:
        detected = np.append(detected, looked.detection_index >= 0)
    moved = [_aligned(plan, row) for row in range(len(plan))]
    masks = [*(_masks(one, plan.image_hw) for one in moved), *answers]
    near = _reach(masks) & detected
    shown: list[Forecast | None] = []
    for row, one in enumerate(moved):
        others = [masks[k] for k in np.flatnonzero(near[row]).tolist()]
        box = _pixels(plan.boxes_xyxy[row]) if detected[row] else None
        shown.append(
            None if one is None else replace(one, visible=_shown(masks[row], others, box))
        )
    return replace(plan, forecasts=tuple(shown))


def _aligned(plan: TrackPlan, row: int) -> Forecast | None:
    """The forecast of a row, moved to its detection; its visible mask ends there."""
    one = plan.forecasts[row]
    if one is None or plan.detection_index[row] < 0:
        return one
    found = plan.boxes_xyxy[row].astype(np.float64)
    change = _change(one, found, plan.image_hw)
    middle = (found[:2] + found[2:]) / 2
    late = move_points(middle[None], change)[0] - middle
    step = compose(change, one.step)
    shape, seen = one.track.shape, one.track.seen
    box = CroppedMask.filled(plan.image_hw, _pixels(found))
    return replace(
        one,
        step=step,
        velocity=one.velocity + SMOOTHING * late / max(one.passed_s, _LEAST_S),
        amodal=None if shape is None else move_mask(shape, compose(step, one.track.pose)),
        visible=None if seen is None else move_mask(seen, step) & box,
    )


def _change(one: Forecast, found: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
    """What is missing (2, 3) from a forecast to its detection (4,).

    An edge of the box tells where the object is only if it is the object's own: that of its whole
    shape too. Where an occluder ends what is visible, the edge is the occluder's, and at the
    border of the image it is the image's.
    """
    expected = seen = whole = one.boxes_xyxy[0].astype(np.float64)
    if one.amodal is not None and not one.amodal.is_empty:
        whole = np.array(one.amodal.box_xyxy, np.float64)
        if one.visible is not None and not one.visible.is_empty:
            seen = np.array(one.visible.box_xyxy, np.float64)
    axes = []
    for axis, length in enumerate(image_hw[::-1]):
        edges = slice(axis, None, 2)
        side = expected[edges][1] - expected[edges][0]
        own = np.abs(seen[edges] - whole[edges]) <= max(_REAL * side, _LEAST_PX)
        own &= (found[edges] > 1) & (found[edges] < length - 1)
        pairs = (expected[edges], whole[edges], found[edges])
        axes.append(Edges(*pairs, own).change)
    (wide, right), (high, down) = axes
    return np.array([[wide, 0.0, right], [0.0, high, down]])


@dataclass(frozen=True, eq=False)
class Edges:
    """The two edges of an object on one axis, first and last: (2,) each.

    Attributes:
        expected: of the detection.
        whole: of the whole shape, expected.
        found: of the detection.
        own: bool, those that are the object's, as far as the last frame tells.
    """

    expected: np.ndarray
    whole: np.ndarray
    found: np.ndarray
    own: np.ndarray

    @property
    def change(self) -> tuple[float, float]:
        """Scale and shift of the axis."""
        side, length, shown = (
            float(pair[1] - pair[0]) for pair in (self.expected, self.whole, self.found)
        )
        if side <= 0:
            return 1.0, 0.0
        first, last = (float(value) for value in self.found - self.expected)
        least = max(_SCALED * side, _LEAST_PX)
        if not self.own.all():
            if shown > length + least > least:  # more shows than was known
                return shown / length, float(self.found[0] - shown / length * self.whole[0])
            return 1.0, self._shift(first, last)
        if abs(last - first) <= least:
            scale = (side + last - first) / side
            return scale, float(self.found[0] - scale * self.expected[0])
        # One of them is covered now: that which moved further.
        return 1.0, min(first, last, key=abs)

    def _shift(self, first: float, last: float) -> float:
        """That of an object of which at most one edge shows.

        Args:
            first: by how much this edge of the detection moved otherwise than expected.
            last: likewise.
        """
        low, high = (float(value) for value in self.found - self.whole)
        if not self.own.any():
            return min(low, 0.0) + max(high, 0.0)
        shift, beyond = (first, high) if self.own[0] else (last, low)
        jumps = abs(shift) > _PASSED * float(self.whole[1] - self.whole[0])
        return beyond if jumps and abs(beyond) < abs(shift) / 2 else shift


def _masks(one: Forecast | None, image_hw: tuple[int, int]) -> tuple[CroppedMask, CroppedMask]:
    """Whole and visible mask of a forecast; empty where they are not known."""
    nothing = CroppedMask.empty(image_hw)
    if one is None or one.amodal is None:
        return nothing, nothing
    return one.amodal, nothing if one.visible is None else one.visible & one.amodal


def _reach(masks: Sequence[tuple[CroppedMask, CroppedMask]]) -> np.ndarray:
    """(N, N) bool: whether the box of what the second shows meets that of the first's whole."""
    whole, seen = (tight_boxes([pair[k] for pair in masks]) for k in (0, 1))
    meet = (seen[None, :, :2] < whole[:, None, 2:]) & (seen[None, :, 2:] > whole[:, None, :2])
    return np.asarray(meet.all(axis=2) & ~np.eye(len(masks), dtype=bool))


def _shown(
    masks: tuple[CroppedMask, CroppedMask],
    others: Sequence[tuple[CroppedMask, CroppedMask]],
    box: BoxXyxy | None,
) -> CroppedMask:
    """What is visible of an object now.

    Args:
        masks: whole and visible, aligned.
        others: those of the objects that were detected and shown about its whole mask.
        box: of its own detection; None: there is none.
    """
    amodal, seen = masks
    visible = seen
    for other in others:
        if box is None or _is_before(other, masks):
            visible = visible - other[1]
    if box is None:
        return visible
    bare = amodal & CroppedMask.filled(amodal.image_hw, box)
    if not seen.is_empty:
        bare = bare - CroppedMask.filled(amodal.image_hw, seen.box_xyxy)
    for _, mask in others:
        bare = bare - mask
    return visible | bare


def _is_before(
    front: tuple[CroppedMask, CroppedMask], back: tuple[CroppedMask, CroppedMask]
) -> bool:
    """Whether an object hides more of another than is hidden of it by that, and they overlap."""
    (front_whole, front_seen), (back_whole, back_seen) = front, back
    if not front_seen.shared(back_seen):
        return False
    hidden = (back_whole - back_seen).shared(front_seen)
    return hidden > (front_whole - front_seen).shared(back_seen)


def _pixels(box: np.ndarray) -> BoxXyxy:
    """The whole pixels about a box (4,) that lies in the image."""
    (x0, y0), (x1, y1) = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
    return int(x0), int(y0), int(x1), int(y1)
