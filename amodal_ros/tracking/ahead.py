# SPDX-License-Identifier: Apache-2.0
"""Where a frame's objects will be a moment later, as far as they go on as before.

Who uses masks until the next ones come uses them later than their image was taken. An object that
moves evenly is then somewhere else, and where is known. One that shakes, or is seen by a hand-held
camera, is not: its last shift says nothing of the next. So each object goes on with a share of its
last shift, which its past shifts tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from amodal_ros.tracking.types import TrackedObject

_HALF_S = 0.8  # what shifts were counts half after so long
_NOISE_PX = 1.0  # a shift of an outline that does not move, from frame to frame


@dataclass
class _Past:
    """How an object moved so far.

    Attributes:
        box: (2, 2) float64, corners of its last whole mask.
        stamp_s: of that frame.
        rate: (2,) pixels per second of its last shift; None: there was none yet.
        followed: sum of products of successive rates, faded.
        squares: sum of squares of the earlier ones, likewise.
    """

    box: np.ndarray
    stamp_s: float
    rate: np.ndarray | None = None
    followed: float = field(default=0.0)
    squares: float = field(default=0.0)

    def takes(self, box: np.ndarray, stamp_s: float) -> np.ndarray:
        """Takes a frame in: (2,) pixels per second with which the object goes on."""
        passed_s = stamp_s - self.stamp_s
        rate = _shift(self.box, box) / passed_s
        if self.rate is not None:
            fade = 0.5 ** (passed_s / _HALF_S)
            self.followed = fade * self.followed + float(rate @ self.rate)
            self.squares = fade * self.squares + float(self.rate @ self.rate)
        self.box, self.stamp_s, self.rate = box, stamp_s, rate
        noise = (_NOISE_PX / passed_s) ** 2
        return rate * float(np.clip(self.followed / (self.squares + noise), 0.0, 1.0))


class Ahead:
    """Moves the masks of one camera's frames to a moment after them.

    Each answered frame is to be given to it, in order. Where time goes back it begins anew.
    """

    def __init__(self) -> None:
        self._past: dict[int, _Past] = {}

    def moved(
        self, objects: Sequence[TrackedObject], stamp_s: float, ahead_s: float
    ) -> tuple[TrackedObject, ...]:
        """Takes a frame in, and says where its objects will be.

        Args:
            objects: of the frame.
            stamp_s: time of the frame, in seconds.
            ahead_s: so long after it.

        Returns:
            The objects in their order; `age_s` counts up to the later moment. Masks are shifted by
            whole pixels and cut off at the image's border; they may be empty.
        """
        past, self._past = self._past, {}
        found = []
        for one in objects:
            rate = np.zeros(2)
            if not one.amodal.is_empty:
                box = np.array(one.amodal.box_xyxy, np.float64).reshape(2, 2)
                known = past.get(one.track_id)
                if known is not None and known.stamp_s < stamp_s:
                    rate = known.takes(box, stamp_s)
                else:
                    known = _Past(box, stamp_s)
                self._past[one.track_id] = known
            found.append(_shifted(one, rate * ahead_s, ahead_s))
        return tuple(found)


def _shifted(one: TrackedObject, shift: np.ndarray, ahead_s: float) -> TrackedObject:
    right, down = (round(value) for value in shift.tolist())
    amodal, visible = (mask.shifted((right, down)) for mask in (one.amodal, one.visible))
    return replace(one, amodal=amodal, visible=visible, age_s=one.age_s + ahead_s)


def _shift(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(2,) pixels by which both edges of a box moved: of one that grows or is cut, the lesser."""
    low, high = after - before
    return np.where(low * high > 0, np.where(np.abs(low) < np.abs(high), low, high), 0.0)
