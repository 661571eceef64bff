# SPDX-License-Identifier: Apache-2.0
"""Tabletop scenes of which it is known who hides whom: each object is rendered alone as well.

They are those of ``python -m benchmarks.tabletop`` with the same seed, with the objects that reach
the picture's border.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.space.scenes import noisy
from benchmarks.tabletop.assets import default_cache, prepare_assets
from benchmarks.tabletop.catalog import OBJECT_SETS, TabletopObject
from training.worker_processes import in_processes

LEAST_OVERLAP_PX = 20
_LEAST_HIDDEN_PX, _LEAST_HIDDEN = 20, 0.01  # of an object's amodal mask: below it is no occluder
_WOVEN = 0.1  # share of an overlap in which the other one lies in front, from which on both do


@dataclass(frozen=True)
class TruePair:
    """Two objects whose true amodal masks share at least `LEAST_OVERLAP_PX` pixels, by index.

    Attributes:
        front: nearer in most pixels of the overlap.
        back: the other one.
        overlap: pixels.
        woven: each is nearer in a part of the overlap.
    """

    front: int
    back: int
    overlap: int
    woven: bool


@dataclass(frozen=True, eq=False)
class OcclusionScene:
    """One picture, its N objects of which enough is seen, and who hides whom.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        depth_m: (H, W) float32, noisy as a depth camera's, NaN where unknown.
        visible: (N, H, W) bool.
        amodal: (N, H, W) bool.
        pairs: that overlap.
        occluders: for each object those that are seen where it is hidden.
    """

    image: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    visible: NDArray[np.bool_]
    amodal: NDArray[np.bool_]
    pairs: tuple[TruePair, ...]
    occluders: tuple[frozenset[int], ...]


def render_scene(
    assets: Path, catalogue: Sequence[TabletopObject], seed: int, number: int
) -> OcclusionScene:
    """Render one scene, from its numbers alone."""
    # OpenGL is loaded where it draws alone: in the process of a score it may meet triton.
    from benchmarks.tabletop.cameraman import Cameraman
    from benchmarks.tabletop.shots import HW, MIN_VISIBLE_PX, view_of
    from benchmarks.tabletop.stage import build_stage

    rng = np.random.default_rng([seed, 0, number])
    stage = build_stage(assets, catalogue, rng, HW)
    view = view_of(stage, rng)
    with Cameraman(stage, HW) as cameraman:
        picture, alone_m = cameraman.shoot(view), cameraman.depths_alone(view)
    seen = [np.count_nonzero(mask) >= MIN_VISIBLE_PX for mask in picture.visible]
    visible, amodal = picture.visible[seen], picture.amodal[seen]
    return OcclusionScene(
        image=picture.image,
        depth_m=noisy(picture.depth_m, rng),
        visible=visible,
        amodal=amodal,
        pairs=true_pairs(amodal, alone_m[seen]),
        occluders=true_occluders(visible, amodal),
    )


def true_pairs(amodal: NDArray[np.bool_], alone_m: NDArray[np.float32]) -> tuple[TruePair, ...]:
    """The pairs of objects that overlap.

    Args:
        amodal: (N, H, W) bool.
        alone_m: (N, H, W) depth of each object alone.
    """
    found = []
    for first, second in combinations(range(len(amodal)), 2):
        overlap = amodal[first] & amodal[second]
        count = int(np.count_nonzero(overlap))
        if count < LEAST_OVERLAP_PX:
            continue
        nearer = int(np.count_nonzero(alone_m[first][overlap] < alone_m[second][overlap]))
        fewer = min(nearer, count - nearer)
        front, back = (first, second) if 2 * nearer > count else (second, first)
        woven = fewer >= max(LEAST_OVERLAP_PX, _WOVEN * count)
        found.append(TruePair(front, back, count, woven))
    return tuple(found)


def true_occluders(
    visible: NDArray[np.bool_], amodal: NDArray[np.bool_]
) -> tuple[frozenset[int], ...]:
    """For each object the others that are seen where it is hidden, seams not counted."""
    found = []
    for row, whole in enumerate(amodal):
        hidden = whole & ~visible[row]
        least = max(_LEAST_HIDDEN_PX, _LEAST_HIDDEN * np.count_nonzero(whole))
        covered = [np.count_nonzero(hidden & other) for other in visible]
        found.append(frozenset(k for k, n in enumerate(covered) if k != row and n >= least))
    return tuple(found)


def rendered_scenes(
    object_set: str, seed: int, count: int, workers: int
) -> Iterator[OcclusionScene]:
    """So many scenes of a seed, in the order of their numbers.

    Raises:
        AssetError: the objects cannot be fetched.
    """
    render = partial(_render, prepare_assets(object_set, default_cache()), object_set, seed)
    yield from in_processes(render, range(count), workers, in_order=True)


def _render(assets: Path, object_set: str, seed: int, number: int) -> OcclusionScene:
    return render_scene(assets, OBJECT_SETS[object_set], seed, number)
