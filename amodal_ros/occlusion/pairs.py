# SPDX-License-Identifier: Apache-2.0
"""Which of two overlapping objects lies in front.

Nine witnesses are heard (`witnesses.py`), all of masks alone: who is seen where the two overlap,
who reaches lower in the image, whose outline goes on where their border ends, which one is smaller
and lies on the other. How much each counts was learned from rendered scenes whose order is known
(`python -m training.pair_order`): the sum is the logarithm of the odds that the first lies in
front.

A depth image counts as much as nearly all of them together, wherever it tells the two apart.

`web/page/app/occlusion.js` has the same rule, without depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal_ros.occlusion.depth_steps import DepthSteps
from amodal_ros.occlusion.junctions import Junctions
from amodal_ros.occlusion.pair_weights import pair_weights
from amodal_ros.occlusion.shapes import Shape
from amodal_ros.occlusion.witnesses import Overlap, Witnesses

# Share of an object's amodal mask of which less does not count as hidden: masks are not exact at
# borders.
LEAST_HIDDEN = 0.01
# Two objects hide each other where the weaker side hides this share of what both hide, and each of
# them that share of the other's amodal mask. What is interlaced is close, too.
_MUTUAL, _MUTUAL_LEAST, _MUTUAL_STEP_M = 0.25, 0.03, 0.05
# How much the depth image counts, as odds' logarithm.
_DEPTH = 5.0


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
    hides: bool
    mutual: bool
    contradicted: bool


def decide(
    shapes: Sequence[Shape],
    indices: tuple[int, int],
    junctions: Junctions,
    depths: DepthSteps | None,
    upright: bool,
) -> Pair | None:
    """Who of two objects that meet, or nearly, lies in front; None: nothing tells.

    Args:
        shapes: of all objects.
        indices: of the two.
        junctions: of the outlines of all objects.
        depths: of all objects; None: there are none.
        upright: whether the image's lower side is the ground's.
    """
    first, second = (shapes[index] for index in indices)
    overlap = Overlap.of(first, second)
    witnesses = Witnesses.of((first, second), indices, overlap, junctions, upright)
    step_m = 0.0 if depths is None else depths.between(*indices)
    towards = 0.0 if witnesses.silent else pair_weights().odds_of(witnesses)
    towards += _DEPTH * float(np.sign(step_m))
    if not towards:
        return None
    if towards < 0:
        first, second, indices = second, first, indices[::-1]
        overlap, step_m = overlap.turned(), 0.0 - step_m
    mutual = abs(step_m) < _MUTUAL_STEP_M and _hide_each_other(first, second, overlap)
    return _pair(first, second, indices, overlap, step_m, abs(towards), mutual)


def _pair(
    front: Shape,
    back: Shape,
    indices: tuple[int, int],
    overlap: Overlap,
    step_m: float,
    strength: float,
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
        strength=strength,
        hides=covered > 0 and covered >= LEAST_HIDDEN * back.area,
        mutual=mutual,
        contradicted=_contradict(front, back, overlap, step_m),
    )


def _contradict(front: Shape, back: Shape, overlap: Overlap, step_m: float) -> bool:
    towards_front = overlap.own - overlap.others
    if step_m > 0:
        return -towards_front >= LEAST_HIDDEN * front.area
    return step_m < 0 and towards_front >= LEAST_HIDDEN * back.area


def _hide_each_other(front: Shape, back: Shape, overlap: Overlap) -> bool:
    sides = sorted((overlap.own, overlap.others))
    return (
        sides[0] > _MUTUAL * sum(sides)
        and overlap.own > _MUTUAL_LEAST * back.area
        and overlap.others > _MUTUAL_LEAST * front.area
    )
