# SPDX-License-Identifier: Apache-2.0
"""Light for scenes: environment maps of a folder, and made-up rooms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.rendering.environment import (
    Environment,
    load_panorama,
    make_environment,
    studio_panorama,
)

Rng = np.random.Generator

_STUDIO = 0.3


class Lights:
    """Draws environments."""

    def __init__(self, maps: Sequence[Path] = ()) -> None:
        """Read the maps; without any, all rooms are made up."""
        self._panoramas = [load_panorama(path) for path in maps]

    def draw(self, ground: NDArray[np.float32], rng: Rng) -> Environment:
        """One map, turned, its main light stronger or weaker than it was.

        Args:
            ground: (3,) linear colour of the table.
            rng: for the choice.
        """
        panoramas = self._panoramas
        if panoramas and rng.random() > _STUDIO:
            panorama = panoramas[int(rng.integers(len(panoramas)))]
        else:
            panorama = studio_panorama(rng)
        contrast = float(np.exp(rng.normal(0.0, 0.6)))
        return make_environment(panorama, float(rng.uniform(0, 360)), ground, contrast)
