# SPDX-License-Identifier: Apache-2.0
"""What is known of an object's look from the frames in which it was seen or hidden."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from amodal_ros.tracking.surroundings import Look, unit

_SHARE_OF_NEW = 0.2
_LEARNT_MEAN = 0.6
_COVER_MEAN = 0.4  # of a look that is not the object's: more may be the object, blurred


@dataclass(frozen=True, eq=False)
class Memory:
    """How an object looked when it was surely seen.

    Attributes:
        first: at first.
        recent: lately; it follows slowly.
        cover: of what lay in its place when it was hidden last; None: it never was.
    """

    first: Look
    recent: Look
    cover: Look | None = None

    @classmethod
    def of(cls, look: Look) -> Memory:
        """That of an object which was seen once."""
        return cls(look, look)

    @cached_property
    def on(self) -> np.ndarray:
        """(2, C): all that is known of the object."""
        return np.stack([self.first.on, self.recent.on])

    @cached_property
    def off(self) -> np.ndarray:
        """(8 or 9, C): all that is known of what is around it, and of what hid it."""
        known = [self.first.off, self.recent.off]
        return np.concatenate(known if self.cover is None else [*known, self.cover.on[None]])

    @cached_property
    def off_parts(self) -> np.ndarray:
        """(Q, C): what is around it, and the parts of that."""
        return np.concatenate([self.off, self.first.off_parts, self.recent.off_parts])

    @property
    def now(self) -> Memory:
        """This one: nothing waits to be learnt, as in `PendingMemory`."""
        return self

    def after(self, look: Look, sights: int = 1) -> Memory:
        """The memory after another view; one too unlike the first is not learnt.

        Args:
            look: the view.
            sights: for so many views it stands.
        """
        if float(look.on @ self.first.on) < _LEARNT_MEAN:
            return self
        share, recent = 1 - (1 - _SHARE_OF_NEW) ** sights, self.recent
        on, off = _mixed(recent.on, look.on, share), _mixed(recent.off, look.off, share)
        colours = _mixed_colours(recent.colours, look.colours, share)
        beside = _mixed_colours(recent.colours_beside, look.colours_beside, share)
        recent = Look(on, off, look.off_parts, look.own, colours, beside)
        return Memory(self.first, recent, self.cover)

    def behind(self, look: Look) -> Memory:
        """The memory after the object was hidden: what is in its place is another thing.

        Args:
            look: of its place. One that is too much like the object is not learnt.
        """
        if float((self.on @ look.on).max()) > _COVER_MEAN:
            return self
        return Memory(self.first, self.recent, look)


def _mixed(known: np.ndarray, new: np.ndarray, share: float) -> np.ndarray:
    return unit((1 - share) * known + share * new)


def _mixed_colours(
    known: np.ndarray | None, new: np.ndarray | None, share: float
) -> np.ndarray | None:
    if known is None or new is None:
        return new if known is None else known
    return np.asarray((1 - share) * known + share * new, np.float32)
