# SPDX-License-Identifier: Apache-2.0
"""What is asked of the renderer and what it answers; free of the renderer itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.tabletop.catalog import TabletopObject

Kind = Literal["still", "clip"]


@dataclass(frozen=True)
class Shot:
    """What to render.

    Attributes:
        kind: a still or a clip.
        number: counts from 0 within its kind.
        seed: of the whole benchmark.
        frames: 1 for a still.
        objects: to choose from.
        assets: folder that the catalogue's paths are relative to.
        out: folder of the dataset.
    """

    kind: Kind
    number: int
    seed: int
    frames: int
    objects: tuple[TabletopObject, ...]
    assets: Path
    out: Path


@dataclass(frozen=True)
class FrameRecord:
    """A written picture and its objects, ready for ``amodal_coco``.

    Attributes:
        file_name: relative to the dataset.
        hw: its size.
        frame: number in the clip.
        objects: track number, category, amodal and visible mask of each object that is kept.
        left_out: how many were not, by reason.
    """

    file_name: str
    hw: tuple[int, int]
    frame: int
    objects: tuple[tuple[int, str, NDArray[np.bool_], NDArray[np.bool_]], ...]
    left_out: dict[str, int]
