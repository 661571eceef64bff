# SPDX-License-Identifier: Apache-2.0
"""The occlusion graph of one image: for each object who hides it, and how much of it each covers.

No two objects see the same pixel: it belongs to the one in front. A hidden pixel of an object is
covered by the foremost object over it. Where no known object lies over it, what covers it is
unknown: a hand, a shelf, the image's border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.occlusion.depth_steps import DepthSteps
from amodal_ros.occlusion.junctions import Junctions
from amodal_ros.occlusion.order import consistent_order, cycles, layers
from amodal_ros.occlusion.pairs import LEAST_HIDDEN, Pair, decide, recounted
from amodal_ros.occlusion.regained import Before, regained
from amodal_ros.occlusion.shapes import Painted, Shape, meeting_pairs


@dataclass(frozen=True)
class Hiding:
    """By whom an object is hidden.

    Attributes:
        occluders: indices of the objects in front of it, the one that covers most of it first.
        shares: of its hidden part, that each of them covers as the foremost, in [0, 1].
        unknown_share: of its hidden part, that no known object covers, in [0, 1]. With `shares` it
            adds up to 1; all are 0 where less than `LEAST_HIDDEN` of its amodal mask is hidden.
        layer: 0 where no known object lies in front of it, else 1 more than the deepest of those
            that do. In a cycle the strongest evidence counts.
    """

    occluders: tuple[int, ...]
    shares: tuple[float, ...]
    unknown_share: float
    layer: int


@dataclass(frozen=True, eq=False)
class OcclusionGraph:
    """Of the N objects of one image, which are named by their indices.

    Attributes:
        visible: N masks of which no two share a pixel.
        hidings: of the N objects.
        pairs: of which anything says who lies in front, as they were decided each.
        cycles: objects of each group that lie in front of one another, as woven things do, or a
            cup and the spoon in it.
        contradictions: pairs whose masks say clearly that the first lies in front, while the depth
            image says that the second does.
    """

    visible: tuple[CroppedMask, ...]
    hidings: tuple[Hiding, ...]
    pairs: tuple[Pair, ...]
    cycles: tuple[tuple[int, ...], ...]
    contradictions: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        """Number of objects N."""
        return len(self.hidings)


def occlusion_graph(
    visible: Sequence[CroppedMask],
    amodal: Sequence[CroppedMask],
    depth_m: np.ndarray | None = None,
    upright: bool = True,
    before: Before | None = None,
) -> OcclusionGraph:
    """Who hides whom.

    Args:
        visible: N masks of one image; what lies beyond the amodal mask is left out.
        amodal: N masks of the same image; an empty one hides nothing.
        depth_m: (H, W) float32 of the same image, metres, NaN where unknown; None: there is none.
        upright: whether the image's lower side is the ground's.
        before: what earlier images showed of them (`OcclusionMemory`); None: there are none.

    Raises:
        InvalidInputError: when numbers or sizes differ.
    """
    image_hw = _check(visible, amodal, depth_m)
    shapes = [Shape.of(seen, whole) for seen, whole in zip(visible, amodal, strict=True)]
    meeting = meeting_pairs(shapes)
    depths = None if depth_m is None else DepthSteps(shapes, depth_m)
    junctions = Junctions(shapes)
    if before is None:
        before = Before.nothing(len(shapes))
    found = [
        decide(shapes, indices, junctions, depths, upright, float(before.order[indices]))
        for indices in meeting
    ]
    pairs = [pair for pair in found if pair is not None]
    shapes, changed = regained(shapes, [(pair.front, pair.back) for pair in pairs], before)
    pairs = [
        recounted(shapes, pair) if changed & {pair.front, pair.back} else pair for pair in pairs
    ]
    kept = consistent_order(len(shapes), pairs)
    followed = [pair for pair, keep in zip(pairs, kept, strict=True) if keep]
    hiding = [pair for pair in pairs if pair.hides]
    layer = layers(len(shapes), [pair for pair in followed if pair.hides])
    front_to_back = np.argsort(layers(len(shapes), followed), kind="stable")
    met = {index for pair in meeting for index in pair}
    painted = Painted(shapes, [k for k in front_to_back.tolist() if k in met])
    fronts = _fronts(len(shapes), hiding)
    return OcclusionGraph(
        visible=tuple(
            CroppedMask.at(
                image_hw,
                shape.box_xyxy[:2],
                painted.seen_of(k) if k in met else shape.visible,
            )
            for k, shape in enumerate(shapes)
        ),
        hidings=tuple(
            _hiding(k, shape, fronts[k], int(layer[k]), painted if k in met else None)
            for k, shape in enumerate(shapes)
        ),
        pairs=tuple(pairs),
        cycles=cycles(len(shapes), hiding),
        contradictions=tuple(
            (one.front, one.back) if one.step_m < 0 else (one.back, one.front)
            for one in pairs
            if one.contradicted
        ),
    )


def _check(
    visible: Sequence[CroppedMask], amodal: Sequence[CroppedMask], depth_m: np.ndarray | None
) -> tuple[int, int]:
    """The image's size; (1, 1) where nothing tells it."""
    if len(visible) != len(amodal):
        raise InvalidInputError(
            f"expected as many visible as amodal masks, got {len(visible)} and {len(amodal)}"
        )
    sizes = {mask.image_hw for mask in (*visible, *amodal)}
    if depth_m is not None:
        sizes.add((depth_m.shape[0], depth_m.shape[1]))
    if len(sizes) > 1:
        raise InvalidInputError(f"expected masks and depth of one size, got {sorted(sizes)}")
    return sizes.pop() if sizes else (1, 1)


def _fronts(count: int, pairs: Sequence[Pair]) -> list[set[int]]:
    """For each object the others that hide it."""
    fronts: list[set[int]] = [set() for _ in range(count)]
    for pair in pairs:
        fronts[pair.back].add(pair.front)
        if pair.mutual:
            fronts[pair.front].add(pair.back)
    return fronts


def _hiding(
    index: int, shape: Shape, fronts: set[int], layer: int, painted: Painted | None
) -> Hiding:
    """How an object is hidden, by which of those in front of it."""
    counts = np.zeros(0, np.int64) if painted is None else painted.covers_of(index)
    total = int(counts.sum()) if len(counts) else shape.area - np.count_nonzero(shape.visible)
    if total < max(LEAST_HIDDEN * shape.area, 1):
        return Hiding(tuple(sorted(fronts)), (0.0,) * len(fronts), 0.0, layer)
    shares = {front: float(counts[front]) / total for front in fronts}
    occluders = tuple(sorted(fronts, key=lambda front: (-shares[front], front)))
    unknown = (total - sum(int(counts[front]) for front in fronts)) / total
    return Hiding(occluders, tuple(shares[front] for front in occluders), unknown, layer)
