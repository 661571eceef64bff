# SPDX-License-Identifier: Apache-2.0
"""From where a scene is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.rendering.camera import Camera
from training.scenes.meshes import Array
from training.scenes.placement import Placed

Rng = np.random.Generator

HW = (480, 640)
"""Height and width of the pictures, pixels."""
_AROUND = 0.6
_NARROW_DEG = 100.0
_FROM_ABOVE = 0.3


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
        return np.array(self.lookat) - self.distance * self._ahead()

    def camera(self) -> Camera:
        """The same as a camera with its axes."""
        ahead = self._ahead()
        right = np.array([ahead[1], -ahead[0], 0.0]) / np.hypot(ahead[0], ahead[1])
        turn = np.radians(self.roll)
        up = np.cos(turn) * np.cross(right, ahead) - np.sin(turn) * right
        return Camera(self.eye(), ahead, up, self.fovy)

    def _ahead(self) -> Array:
        turn, tilt = np.radians(self.azimuth), np.radians(self.elevation)
        return np.array([np.cos(tilt) * np.cos(turn), np.cos(tilt) * np.sin(turn), np.sin(tilt)])


def draw_views(placed: Sequence[Placed], count: int, rng: Rng) -> list[View]:
    """Cameras all around the group or on one side of it; some near, some far, some from above."""
    points = np.concatenate(
        [item.prop.points()[::7] @ item.rotation.T + item.position for item in placed]
    )
    low, high = np.percentile(points, [3, 97], axis=0)
    arc = 360.0 if rng.random() < _AROUND else _NARROW_DEG
    start = rng.uniform(0, 360)
    turns = start + arc * (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count
    return [_view(low, high, float(turn), rng) for turn in turns]


def _view(low: Array, high: Array, azimuth: float, rng: Rng) -> View:
    aside = rng.choice([0.1, 0.3])
    lookat = (low + high) / 2 + rng.normal(0, aside, 3) * (high - low) * (1, 1, 0.5)
    reach = float(np.linalg.norm(high - low)) / 2
    fovy = rng.uniform(30, 60)
    fill = np.exp(rng.normal(-0.2, 0.3)) if rng.random() < 0.85 else rng.uniform(1.2, 3.0)
    distance = reach / np.tan(np.radians(fovy / 2)) * fill
    steep = rng.uniform(50, 88) if rng.random() < _FROM_ABOVE else 10 + 50 * rng.beta(1.3, 1.6)
    return View(
        lookat=(float(lookat[0]), float(lookat[1]), float(lookat[2])),
        distance=float(np.clip(distance, 0.3, 3.5)),
        azimuth=azimuth,
        elevation=-float(steep),
        fovy=float(fovy),
        roll=float(rng.normal(0, 2.5) if rng.random() < 0.85 else rng.normal(0, 20)),
    )
