# SPDX-License-Identifier: Apache-2.0
"""Which of two overlapping objects lies in front.

Where the amodal masks of two objects overlap, the one in front is that of which more is seen there
and not of the other. Both completions say the same: a pixel that is seen of the one and hidden of
the other is one where the latter was completed beneath the former. The fewer pixels show it, and
the more of them both claim as seen, the less it counts.

Completions err where what is seen does not, so two more witnesses are heard, each of which counts
a little less than masks of which every pixel agrees: whose outline goes on where the border of the
two ends (`junctions.py`), and who reaches lower in the image. Of things that stand on something,
an upright camera sees the nearer one's foot lower. Not of two of which one's outline holds the
other's: it lies in it, or is hidden behind it, which masks say.

A thing that another claims nearly whole, though both show it, lies on that: food on its plate.

A depth image counts one and a half times as much as masks can, wherever it tells the two apart.

Of objects that are followed, what earlier images showed is heard too (`memory.py`), as much
as masks of which every pixel agrees.

`web/page/app/occlusion.js` has the same rule, without depth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal_ros.image.cropped import common_box
from amodal_ros.occlusion.depth_steps import DepthSteps
from amodal_ros.occlusion.junctions import Junctions
from amodal_ros.occlusion.shapes import Shape

# Share of an object's amodal mask of which less does not count as hidden: masks are not exact at
# borders.
LEAST_HIDDEN = 0.01
# Two objects hide each other where the weaker side hides this share of what both hide, and each of
# them that share of the other's amodal mask. What is interlaced is close, too.
_MUTUAL, _MUTUAL_LEAST, _MUTUAL_STEP_M = 0.25, 0.03, 0.05
# How much a foot that is lower by half of the smaller object's height counts, and an outline
# that goes on where the other's ends. 1: as much as masks of which every pixel agrees.
_FOOT = 0.75
_JUNCTION = 0.75
# An outline holds another one with this share of its pixels.
_HOLDS = 0.95
# A thing lies on another that claims this share of its amodal mask as seen, and it does too.
_LIES_ON = 0.9
# How much the depth image counts, and what earlier images showed.
_DEPTH = 1.5
_LATELY = 1.0


@dataclass(frozen=True)
class Pair:
    """Two objects whose amodal masks overlap, or nearly do, by their indices.

    Attributes:
        front: lies in front.
        back: lies behind.
        overlap: pixels that both amodal masks have; 0 where they nearly meet.
        hidden: pixels of the overlap that are seen of `front` and not of `back`.
        against: pixels of the overlap that are seen of `back` and not of `front`.
        claimed: pixels of the overlap that both claim as seen; they are given to `front`.
        step_m: by how much `back` is farther than `front` about the overlap, as the depth image
            says, in metres; 0: it does not tell.
        strength: how sure the order is, to compare pairs; above 0.
        evidence: how much of that this image shows by itself, without what earlier ones did; below
            0 where these outweigh it.
        hides: whether so much of `back` is hidden by `front` that it counts.
        mutual: whether `back` hides a part of `front` too, as a cup and the spoon in it do.
        contradicted: whether the masks say clearly the contrary of the depth image.
    """

    front: int
    back: int
    overlap: int
    hidden: int
    against: int
    claimed: int
    step_m: float
    strength: float
    evidence: float
    hides: bool
    mutual: bool
    contradicted: bool


@dataclass(frozen=True)
class _Overlap:
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
    def of(cls, first: Shape, second: Shape) -> _Overlap:
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

    def held(self, first: Shape, second: Shape) -> bool:
        """Whether the outline of one of the two holds the other's."""
        return self.area >= _HOLDS * min(first.area, second.area)

    def turned(self) -> _Overlap:
        """With the two objects exchanged."""
        return _Overlap(self.area, self.others, self.own, self.claimed)


def decide(
    shapes: Sequence[Shape],
    indices: tuple[int, int],
    junctions: Junctions,
    depths: DepthSteps | None,
    upright: bool,
    lately: float = 0.0,
) -> Pair | None:
    """Who of two objects that meet, or nearly, lies in front; None: nothing tells.

    Args:
        shapes: of all objects.
        indices: of the two.
        junctions: of the outlines of all objects.
        depths: of all objects; None: there are none.
        upright: whether the image's lower side is the ground's.
        lately: above 0: the first lay in front in earlier images; from -1 to 1.
    """
    first, second = (shapes[index] for index in indices)
    overlap = _Overlap.of(first, second)
    step_m = 0.0 if depths is None else depths.between(*indices)
    if overlap.claimed >= _LIES_ON * min(first.area, second.area):
        towards = float(np.sign(second.area - first.area))
    else:
        towards = _by_masks(first, second, overlap)
        if upright and not (towards and overlap.held(first, second)):
            towards += _FOOT * _by_feet(first, second)
        towards += _JUNCTION * junctions.towards_first(*indices)
    evidence = towards + _DEPTH * float(np.sign(step_m))
    towards = evidence + _LATELY * lately
    if not towards:
        return None
    if towards < 0:
        first, second, indices = second, first, indices[::-1]
        overlap, step_m, evidence = overlap.turned(), 0.0 - step_m, -evidence
    mutual = abs(step_m) < _MUTUAL_STEP_M and _hide_each_other(first, second, overlap)
    sure = abs(towards), evidence
    return _pair(first, second, indices, overlap, step_m, sure, mutual)


def recounted(shapes: Sequence[Shape], pair: Pair) -> Pair:
    """A pair whose order is known, with the pixels of shapes that have changed since.

    Args:
        shapes: of all objects.
        pair: two of them.
    """
    front, back = shapes[pair.front], shapes[pair.back]
    overlap = _Overlap.of(front, back)
    mutual = abs(pair.step_m) < _MUTUAL_STEP_M and _hide_each_other(front, back, overlap)
    indices, sure = (pair.front, pair.back), (pair.strength, pair.evidence)
    return _pair(front, back, indices, overlap, pair.step_m, sure, mutual)


def _by_masks(first: Shape, second: Shape, overlap: _Overlap) -> float:
    """Above 0: the first lies in front; from -1 to 1."""
    # Masks are not exact along the border that two objects share, which is about as long.
    border = math.sqrt(min(first.area, second.area)) / 2
    seen = overlap.own + overlap.others + overlap.claimed
    return (overlap.own - overlap.others) / (seen + border)


def _by_feet(first: Shape, second: Shape) -> float:
    """Above 0: the first reaches lower in the image; from -1 to 1."""
    drop = first.box_xyxy[3] - second.box_xyxy[3]
    reach = min(first.height, second.height) / 2
    return min(max(drop / reach, -1.0), 1.0)


def _pair(
    front: Shape,
    back: Shape,
    indices: tuple[int, int],
    overlap: _Overlap,
    step_m: float,
    sure: tuple[float, float],
    mutual: bool,
) -> Pair:
    covered = overlap.own + overlap.claimed
    if not covered and not overlap.others:  # something else lies over both
        covered = overlap.area
    return Pair(
        front=indices[0],
        back=indices[1],
        overlap=overlap.area,
        hidden=overlap.own,
        against=overlap.others,
        claimed=overlap.claimed,
        step_m=step_m,
        strength=sure[0],
        evidence=sure[1],
        hides=covered > 0 and covered >= LEAST_HIDDEN * back.area,
        mutual=mutual,
        contradicted=_contradict(front, back, overlap, step_m),
    )


def _contradict(front: Shape, back: Shape, overlap: _Overlap, step_m: float) -> bool:
    towards_front = overlap.own - overlap.others
    if step_m > 0:
        return -towards_front >= LEAST_HIDDEN * front.area
    return step_m < 0 and towards_front >= LEAST_HIDDEN * back.area


def _hide_each_other(front: Shape, back: Shape, overlap: _Overlap) -> bool:
    sides = sorted((overlap.own, overlap.others))
    return (
        sides[0] > _MUTUAL * sum(sides)
        and overlap.own > _MUTUAL_LEAST * back.area
        and overlap.others > _MUTUAL_LEAST * front.area
    )
