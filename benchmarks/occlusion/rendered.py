# SPDX-License-Identifier: Apache-2.0
"""Scenes rendered in processes of their own, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.tabletop.assets import default_cache, prepare_assets
from benchmarks.tabletop.catalog import OBJECT_SETS
from training.worker_processes import in_processes

if TYPE_CHECKING:
    from benchmarks.occlusion.scenes import OcclusionScene


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
    from benchmarks.occlusion.scenes import render_scene  # draws: in the worker alone

    return render_scene(assets, OBJECT_SETS[object_set], seed, number)
