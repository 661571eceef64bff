# SPDX-License-Identifier: Apache-2.0
"""Gives an object back what is taken for a thing behind it.

Two things of one colour, one before the other: the model may show a part of the nearer one as part
of the farther one. Where earlier images say that it lies in front, the object has its whole shape
there, and most of that part was seen of it a moment ago, it is still seen. Each of the three alone
may be wrong: a completion that reaches too far was never seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from amodal_ros.image.cropped import BoxXyxy, CroppedMask, common_box
from amodal_ros.occlusion.shapes import Shape

# By how much earlier images must have shown the order, from 0 to 1. Two things of one colour, for
# which this is made, seldom leave more than half: in some images their masks err about it, too.
_SURE = 0.4
# Of its whole shape; masks are not exact along borders.
_LEAST = 0.03


@dataclass(frozen=True, eq=False)
class Before:
    """What earlier images showed of the N objects of an image.

    Attributes:
        order: (N, N) float64 from -1 to 1; above 0: the object of the row lay in front of that of
            the column. 0: nothing is known.
        seen: gives for an object's index what was seen of it in the last image, moved to where it
            is now; None where that is not known. It is asked for few objects.
    """

    order: np.ndarray
    seen: Callable[[int], CroppedMask | None]

    @classmethod
    def nothing(cls, count: int) -> Before:
        """There are no earlier images."""
        return cls(np.zeros((count, count)), lambda index: None)


def regained(
    shapes: Sequence[Shape], ordered: Sequence[tuple[int, int]], before: Before
) -> tuple[list[Shape], set[int]]:
    """The objects with what they get back, and the indices of those that it changes.

    Args:
        shapes: of N objects.
        ordered: indices of pairs, the one in front first.
        before: what earlier images showed of them.
    """
    found, changed = list(shapes), set[int]()
    for front, back in ordered:
        if before.order[front, back] < _SURE:
            continue
        window = common_box(found[front].box_xyxy, found[back].box_xyxy)
        if window is None:
            continue
        lost = _lost(found[front], found[back], window)
        least = _LEAST * found[front].area
        if np.count_nonzero(lost) < least or (seen_before := before.seen(front)) is None:
            continue
        lost = _mostly(lost, seen_before.cut(window))
        if np.count_nonzero(lost) < least:
            continue
        for index, is_front in ((front, True), (back, False)):
            seen = found[index].visible.copy()
            part = found[index].part(window)
            seen[part] = seen[part] | lost if is_front else seen[part] & ~lost
            found[index] = replace(found[index], visible=seen)
            changed.add(index)
    return found, changed


def _lost(front: Shape, back: Shape, window: BoxXyxy) -> np.ndarray:
    """(h, w) bool of a window: what of the front object's shape is shown as the back one's."""
    (whole, seen), (_, other_seen) = front.within(window), back.within(window)
    return whole & ~seen & other_seen


def _mostly(mask: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The connected parts of a mask of which more than half lies in the other one, whole."""
    _, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    both, all_of = (
        np.bincount(labels[where], minlength=labels.max() + 1) for where in (mask & other, mask)
    )
    return mask & (2 * both > all_of)[labels]
