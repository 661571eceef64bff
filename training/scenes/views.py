# SPDX-License-Identifier: Apache-2.0
"""From where a scene is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.scenes.meshes import Array
from training.scenes.placement import Placed

Rng = np.random.Generator

_AROUND = 0.6
_NARROW_DEG = 100.0


@dataclass(frozen=True)
class View:
    """A free camera: see MuJoCo's `mjvCamera`; degrees and metres, `roll` about the view axis."""

    lookat: tuple[float, float, float]
    distance: float
    azimuth: float
    elevation: float
    fovy: float
    roll: float

    def eye(self) -> Array:
        """(3,) position of the camera, metres."""
        turn, tilt = np.radians(self.azimuth), np.radians(self.elevation)
        ahead = (np.cos(tilt) * np.cos(turn), np.cos(tilt) * np.sin(turn), np.sin(tilt))
        return np.array(self.lookat) - self.distance * np.array(ahead)


def draw_views(placed: Sequence[Placed], count: int, rng: Rng) -> list[View]:
    """Cameras all around the group or on one side of it, most of it in the picture."""
    points = np.concatenate(
        [item.thing.points()[::7] @ item.rotation.T + item.position for item in placed]
    )
    low, high = np.percentile(points, [3, 97], axis=0)
    arc = 360.0 if rng.random() < _AROUND else _NARROW_DEG
    start = rng.uniform(0, 360)
    turns = start + arc * (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count
    return [_view(low, high, float(turn), rng) for turn in turns]


def _view(low: Array, high: Array, azimuth: float, rng: Rng) -> View:
    lookat = (low + high) / 2 + rng.normal(0, 0.1, 3) * (high - low)
    reach = float(np.linalg.norm(high - low)) / 2
    fovy = rng.uniform(30, 60)
    distance = reach / np.tan(np.radians(fovy / 2)) * rng.uniform(0.75, 1.25)
    return View(
        lookat=(float(lookat[0]), float(lookat[1]), float(lookat[2])),
        distance=float(max(distance, 0.35)),
        azimuth=azimuth,
        elevation=float(-12 - 48 * rng.beta(1.1, 1.8)),
        fovy=float(fovy),
        roll=float(rng.normal(0, 2.5)),
    )
