# SPDX-License-Identifier: Apache-2.0
"""Where an object is looked for in the next frame, while no detection says where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from amodal_ros.image.boxes import expand_boxes
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.answer import Outcome
from amodal_ros.tracking.like_cells import reach_of
from amodal_ros.tracking.search import GROWTH, found_place
from amodal_ros.tracking.track import IDENTITY, compose, move_box, or_none

_MOSTLY = 0.85  # share of a visible mask within what looks like the object
_FURTHER = 1.1  # no side of the next prompt is longer than the known one by more


@dataclass(frozen=True, eq=False)
class Sight:
    """What was seen of an object in a frame, and around it.

    Attributes:
        outcome: of the frame; its surroundings are known.
        known: (2,) width and height of the object.
        just_lost: it was seen in the frame before and not in this one.
        others: what is visible of other objects.
    """

    outcome: Outcome
    known: np.ndarray
    just_lost: bool
    others: Sequence[CroppedMask]

    @cached_property
    def box(self) -> np.ndarray | None:
        """Box (4,) float64 of the next prompt, as of this frame; found when it is asked for.

        Of an object that is seen: the box of what is visible, and of what looks like it and is
        joined to that: a mask that the last box cut off. Of one that is not: the likeliest place
        around; None where its mask should be, or where nothing is known of its look.
        """
        visible, likeness = self.outcome.judgement.visible, self.outcome.likeness
        if not visible.is_empty:
            answer = self.outcome.answer
            if answer is not None and answer.added is not None:  # the model must find it again
                visible = or_none(visible - answer.added) or visible
            box = expand_boxes([visible.box_xyxy], GROWTH)[0].astype(np.float64)
            if likeness is None:
                return box
            reach = reach_of(likeness, visible, self.others)
            return _reaching(box, visible, reach, likeness.surroundings.cell_px, self.known)
        if likeness is None:
            return None
        place = found_place(self.outcome, self.known, self.others)
        if place is not None and self.just_lost:  # it goes on as far
            place += np.tile(_middle(place) - _middle(self.outcome.expected_box), 2)
        return place

    def __getstate__(self) -> dict[str, np.ndarray | None]:
        """The box alone: a tracker that is kept in a file keeps no embeddings."""
        return {"box": self.box}


@dataclass(frozen=True, eq=False)
class NextPlace:
    """Where to look for an object: a box that is worked out when it is first asked for.

    While detections say where an object is nobody asks.

    Attributes:
        sight: of the frame in which the object was looked at last.
        motion: (2, 3), the object's since then.
    """

    sight: Sight
    motion: np.ndarray = field(default_factory=IDENTITY.copy)

    @property
    def box(self) -> np.ndarray | None:
        """(4,) float64 as of now; None: where its mask should be, or not known."""
        box = self.sight.box
        return None if box is None else move_box(box, self.motion)

    def moved(self, step: np.ndarray) -> NextPlace:
        """The place after a motion (2, 3) of the object."""
        return NextPlace(self.sight, compose(step, self.motion))


def _middle(box: np.ndarray) -> np.ndarray:
    return np.asarray((box[:2] + box[2:]) / 2)


def _reaching(
    box: np.ndarray,
    visible: CroppedMask,
    reach: np.ndarray,
    cell_px: np.ndarray,
    known: np.ndarray,
) -> np.ndarray:
    """A box (4,) about a visible mask, cut to what looks like the object, or grown to it.

    It is cut where much of the mask lies beyond: a hand that holds the object. It grows on no axis
    beyond the known length (2,).

    Args:
        box: (4,).
        visible: the mask.
        reach: (4,) see `reach_of`.
        cell_px: (2,) original pixels of a cell.
        known: (2,) width and height of the object.
    """
    if not reach.any():
        return box
    inner = reach + np.tile(cell_px, 2) * (-1, -1, 1, 1)
    if _share_in(visible, inner) < _MOSTLY:
        return np.concatenate([np.maximum(box[:2], inner[:2]), np.minimum(box[2:], inner[2:])])
    low, high = np.minimum(box[:2], reach[:2]), np.maximum(box[2:], reach[2:])
    room = np.maximum(_FURTHER * known - (box[2:] - box[:2]), 0)
    wanted = (box[:2] - low) + (high - box[2:])
    share = np.divide(np.minimum(wanted, room), wanted, out=np.zeros(2), where=wanted > 0)
    return np.concatenate([box[:2] - share * (box[:2] - low), box[2:] + share * (high - box[2:])])


def _share_in(mask: CroppedMask, box: np.ndarray) -> float:
    """Share of a mask, not empty, that lies in a box (4,)."""
    x0, y0, x1, y1 = np.round(np.maximum(box, 0)).astype(int)
    return mask.area_in((x0, y0, x1, y1)) / mask.area
