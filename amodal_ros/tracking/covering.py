# SPDX-License-Identifier: Apache-2.0
"""An object that another thing comes before: it keeps its shape while less of it is seen."""

from __future__ import annotations

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.answer import Answer, Judgement
from amodal_ros.tracking.track import move_mask

INSIDE = 0.8  # share of what is visible of an object that lies in its amodal mask
_LESS = 0.5  # share of what was visible below which an object is being covered
_CLEAR = 0.95  # of what was visible, at best and a frame ago: from which on nothing was covered
_MOST_OF_IT = 0.9  # of an object that was seen whole
_EDGE, _EDGE_PX = 0.04, 2.0  # of a side: an edge of a box that moves less has stayed


def is_less(answer: Answer) -> bool:
    """Whether much less is visible than was."""
    return answer.visible.area < _LESS * answer.evidence


def is_covered(answer: Answer, expected: CroppedMask) -> bool:
    """Whether much less is visible than was, and that where the object is expected."""
    place = expected if answer.prior is None else answer.prior
    return is_less(answer) and answer.visible.share_in(place) >= INSIDE


def covered(answer: Answer, expected: CroppedMask) -> Judgement:
    """An object something comes before: it keeps its shape."""
    amodal = expected | answer.visible
    return Judgement(amodal, answer.visible, False, False, True, covered=_shrinks(answer))


def _shrinks(answer: Answer) -> bool:
    """Whether less is visible than a frame ago."""
    before = answer.expected_visible
    return before is not None and answer.visible.area < _CLEAR * before.area


def is_cut_back(answer: Answer, expected: CroppedMask) -> bool:
    """Whether what is visible has just been cut back on one side, and stays on the three others.

    So is an object over which another thing comes; one that moves or shrinks does otherwise.
    """
    less = answer.visible.area < _CLEAR * answer.evidence
    if not less or not _shrinks(answer) or expected.is_empty:
        return False
    inwards, stayed = _inwards(expected, answer.visible)
    return int(stayed.sum()) == 3 and bool((inwards[~stayed] > 0).all())


def _inwards(shape: CroppedMask, part: CroppedMask) -> tuple[np.ndarray, np.ndarray]:
    """(4,) pixels by which each side of a part's box lies within that of a shape; which stayed."""
    box = np.array(shape.box_xyxy)
    sides = np.tile(box[2:] - box[:2], 2)
    inwards = (np.array(part.box_xyxy) - box) * (1, 1, -1, -1)
    return inwards, np.abs(inwards) <= np.maximum(_EDGE * sides, _EDGE_PX)


def is_part_of_whole(answer: Answer) -> bool:
    """Whether a part of an object that was seen whole is left, and the decoder misses the rest.

    It completes less than there was, or more: it takes a hand and what that holds for the object.
    Two sides of it stay where they were: one that goes away, or is misplaced, leaves all of them.
    """
    whole, visible = answer.whole, answer.visible
    if whole is None or whole.is_empty or visible.is_empty:
        return False
    least = _MOST_OF_IT * whole.area
    as_large = least <= answer.raw.area <= whole.area / _MOST_OF_IT
    if visible.area >= least or as_large or visible.share_in(whole) < INSIDE:
        return False
    return int(_inwards(whole, visible)[1].sum()) >= 2


def moved_over(expected: CroppedMask, visible: CroppedMask) -> CroppedMask | None:
    """The mask moved as little as its box needs to hold what is visible, united with that.

    None where that does not fit in, or lies further off than half the box.
    """
    if expected.is_empty:
        return None
    box, part = np.array(expected.box_xyxy), np.array(visible.box_xyxy)
    sides = box[2:] - box[:2]
    if (part[2:] - part[:2] > sides).any():
        return None
    shift = np.minimum(part[:2] - box[:2], 0) + np.maximum(part[2:] - box[2:], 0)
    if (2 * np.abs(shift) > sides).any():
        return None
    motion = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    return move_mask(expected, motion) | visible
