# SPDX-License-Identifier: Apache-2.0
"""What speaks for one of two objects being in front: nine witnesses, each from masks alone.

Exchanging the two objects changes the sign of each, so no order of arguments matters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from amodal_ros.image.cropped import common_box
from amodal_ros.occlusion.junctions import Junctions
from amodal_ros.occlusion.shapes import Shape

# A thing lies on another that claims this share of its amodal mask as seen, and it does too.
_LIES_ON = 0.9
_LARGEST_SIZE = 3.0  # beyond 20 times as large it tells no more


@dataclass(frozen=True)
class Overlap:
    """What is seen where two objects overlap, in pixels.

    Attributes:
        area: of the overlap.
        own: seen of the first alone.
        others: seen of the second alone.
        claimed: seen of both.
    """

    area: int
    own: int
    others: int
    claimed: int

    @classmethod
    def of(cls, first: Shape, second: Shape) -> Overlap:
        """Of two objects of one image."""
        window = common_box(first.box_xyxy, second.box_xyxy)
        if window is None:
            return cls(0, 0, 0, 0)
        (whole, seen), (other_whole, other_seen) = first.within(window), second.within(window)
        claimed = int(np.count_nonzero(seen & other_seen))
        return cls(
            area=int(np.count_nonzero(whole & other_whole)),
            own=int(np.count_nonzero(seen & other_whole)) - claimed,
            others=int(np.count_nonzero(other_seen & whole)) - claimed,
            claimed=claimed,
        )

    def turned(self) -> Overlap:
        """With the two objects exchanged."""
        return Overlap(self.area, self.others, self.own, self.claimed)


class Witnesses(NamedTuple):
    """Of two objects; each is above 0 where the first has more of what it names.

    Attributes:
        seen: share of the overlap that is seen of it alone, less that seen of the other.
        covers: the same pixels as a share of the smaller object.
        explains: share of what is hidden of the other one that it covers.
        inside: share of its amodal mask that lies in the other's.
        size: logarithm of its amodal area by the other's.
        lies_on: 1, -1 or 0: it is the smaller of two that both claim the smaller one as seen.
        feet: how much lower in the image it reaches, as a part of half of the lower height.
        goes_on: its outline is the straighter one where their border ends (`Junctions`).
        beside: share of its visible outline that runs along what is seen of the other.
    """

    seen: float
    covers: float
    explains: float
    inside: float
    size: float
    lies_on: float
    feet: float
    goes_on: float
    beside: float

    @classmethod
    def of(
        cls,
        shapes: tuple[Shape, Shape],
        indices: tuple[int, int],
        overlap: Overlap,
        junctions: Junctions,
        upright: bool,
    ) -> Witnesses:
        """What two objects of an image that are not empty say.

        Args:
            shapes: of the two.
            indices: of the two among all objects.
            overlap: of the two.
            junctions: of the outlines of all objects.
            upright: whether the image's lower side is the ground's; else `feet` is 0.
        """
        first, second = shapes
        smaller = min(first.area, second.area)
        more = overlap.own - overlap.others
        border = junctions.between(*indices)
        size = math.log(first.area / second.area)
        on_another = overlap.claimed >= _LIES_ON * smaller and size != 0
        return cls(
            seen=more / max(overlap.area, 1),
            covers=more / smaller,
            explains=_part(overlap.own, second) - _part(overlap.others, first),
            inside=overlap.area / first.area - overlap.area / second.area,
            size=min(max(size, -_LARGEST_SIZE), _LARGEST_SIZE),
            lies_on=-math.copysign(1.0, size) if on_another else 0.0,
            feet=_by_feet(first, second) if upright else 0.0,
            goes_on=border.goes_on,
            beside=border.beside,
        )

    @property
    def silent(self) -> bool:
        """Whether nothing is said but how large the two are and where they lie."""
        said = self.seen, self.lies_on, self.feet, self.goes_on, self.beside
        return not any(said)


def _part(covered: int, hidden: Shape) -> float:
    return covered / max(hidden.area - hidden.seen_area, 1)


def _by_feet(first: Shape, second: Shape) -> float:
    """Above 0: the first reaches lower in the image; from -1 to 1."""
    drop = first.box_xyxy[3] - second.box_xyxy[3]
    reach = min(first.height, second.height) / 2
    return min(max(drop / reach, -1.0), 1.0)
