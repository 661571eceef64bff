# SPDX-License-Identifier: Apache-2.0
"""What SAM 2 remembers of one object: a value of bounded size (paper, 3.5, A.1.4).

Who follows an object keeps it from one look at the object to the next. A memory is not changed: a
look makes a new one, which counts once the look's answer does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class MemoryWindow:
    """How far back SAM 2 looks.

    Attributes:
        frames: masks that are looked at, with one prompted frame among them.
        stride: of these; 1: each frame.
        pointers: frames whose object pointers are looked at, with one prompted frame among them.
        prompted: prompted frames that are kept: the first and the newest.
    """

    frames: int
    stride: int
    pointers: int
    prompted: int

    def numbers(self, look: int) -> list[tuple[int, int]]:
        """Place and number of each frame whose mask is looked at in a look, oldest first."""
        every = ((look - 2) // self.stride) * self.stride
        return [
            (place, look - 1 if place == 1 else every - (place - 2) * self.stride)
            for place in range(self.frames - 1, 0, -1)
        ]


@dataclass(frozen=True, eq=False)
class Moment:
    """What is kept of one look at an object; the base model's pass first, then the adapted one's.

    Attributes:
        number: of the look, 0 for the object's first.
        maps: (2, K, s, s) uint16, the upper halves of float32 numbers (bfloat16, in which
            `sam2` keeps them); None: no later look needs them.
        pointers: (2, C) float32.
    """

    number: int
    maps: np.ndarray | None
    pointers: np.ndarray


@dataclass(frozen=True, eq=False)
class ObjectMemory:
    """What is remembered of one object.

    Attributes:
        model: whose memory it is; another model cannot read it.
        looks: how many there were. Ages are counted in them: an object that is not looked at in
            each frame is remembered as long as any other.
        prompted: looks with a prompt, oldest first.
        tracked: those without.
    """

    model: str
    looks: int = 0
    prompted: tuple[Moment, ...] = ()
    tracked: tuple[Moment, ...] = ()

    @property
    def nbytes(self) -> int:
        """Its size."""
        moments = (*self.prompted, *self.tracked)
        return sum(m.pointers.nbytes + (0 if m.maps is None else m.maps.nbytes) for m in moments)

    def after(
        self, maps: np.ndarray, pointers: np.ndarray, is_prompted: bool, window: MemoryWindow
    ) -> ObjectMemory:
        """With one more look, and without what no later look needs.

        Args:
            maps: (2, K, s, s) float32.
            pointers: (2, C) float32.
            is_prompted: the look had a prompt.
            window: how far back the model looks.
        """
        moment = Moment(self.looks, to_bfloat16(maps), pointers)
        prompted, tracked = self.prompted, self.tracked
        if is_prompted:
            prompted = (*prompted, moment)
            surplus = len(prompted) - window.prompted
            prompted = (prompted[0], *prompted[max(surplus, 0) + 1 :])
        else:
            tracked = (*tracked, moment)
        looks = self.looks + 1
        oldest_map = min((number for _, number in window.numbers(looks)), default=looks)
        oldest = min(oldest_map, looks - window.pointers + 1)
        kept = [one for one in tracked if one.number >= oldest]
        tracked = tuple(
            one if one.number >= oldest_map else replace(one, maps=None) for one in kept
        )
        return ObjectMemory(self.model, looks, prompted, tracked)

    def maps(self, window: MemoryWindow) -> list[tuple[float, np.ndarray]]:
        """Place in the window and map of each look that the next one looks at."""
        by_number = {one.number: one.maps for one in self.tracked}
        found = [(float(window.frames), one.maps) for one in self.prompted]
        found += [
            (float(place), by_number.get(number)) for place, number in window.numbers(self.looks)
        ]
        return [(place, values) for place, values in found if values is not None]

    def pointers(self, window: MemoryWindow) -> list[tuple[float, np.ndarray]]:
        """Age in looks, and pointer, of each look that the next one looks at."""
        newest = [one for one in self.tracked if self.looks - one.number < window.pointers]
        moments = (*self.prompted, *reversed(newest))
        return [(float(self.looks - one.number), one.pointers) for one in moments]


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """The upper halves, uint16, of finite float32 numbers, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bfloat16(halves: np.ndarray) -> np.ndarray:
    """Float32 numbers from their upper halves, uint16."""
    return (halves.astype(np.uint32) << 16).view(np.float32)
