# SPDX-License-Identifier: Apache-2.0
"""What vessels are made of: profiles for the lathe, walls, handles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.scenes.meshes import Mesh, curve, lathe, tube

Rng = np.random.Generator
Profile = NDArray[np.float64]
"""(P, 2) radius and height, from the axis at the bottom upwards."""


def shell(outside: NDArray[np.float64], wall: float) -> NDArray[np.float64]:
    """Profile of a vessel with a wall: up along `outside` (P, 2), then back inside."""
    inner = np.stack(
        [np.maximum(outside[:, 0] - wall, 0.0), np.maximum(outside[:, 1], wall)], axis=1
    )
    inner[-1, 1] = outside[-1, 1]
    return np.concatenate([outside, inner[::-1]])


def radius_at(profile: NDArray[np.float64], height: float) -> float:
    """Radius of an upward profile (P, 2) at a height."""
    return float(np.interp(height, profile[:, 1], profile[:, 0]))


def standing(points: list[tuple[float, float]]) -> Profile:
    """Upward profile: the axis at the bottom, then a smooth curve through (radius, height)."""
    line = curve(points, 24)
    line[:, 0] = np.maximum(line[:, 0], 0.004)
    line[:, 1] = np.maximum.accumulate(np.clip(line[:, 1], 0, None))
    return np.concatenate([[(0.0, 0.0)], line])


def wall(rng: Rng, base: float, middle: float, top: float, height: float) -> Profile:
    """Upward profile of a vessel by its radii at the foot, halfway and at the rim."""
    edge = rng.uniform(0.002, 0.012)
    return standing(
        [(base - min(edge, base / 3), 0), (base, edge), (middle, height / 2), (top, height)]
    )


def disc(radius: float, low: float, high: float) -> Mesh:
    """A closed cylinder about z."""
    return lathe([(0, low), (radius, low), (radius, high), (0, high)])


def handle(rng: Rng, body: Profile, low: float, high: float) -> Mesh:
    """An ear from `low` to `high`, shares of the body's height, on the +x side."""
    height = float(body[:, 1].max())
    z0, z1 = low * height, high * height
    r0, r1 = radius_at(body, z0) - 0.002, radius_at(body, z1) - 0.002
    out = max(r0, r1) + rng.uniform(0.35, 0.6) * (z1 - z0)
    square = rng.uniform(0.05, 0.3) * (z1 - z0)
    points = [
        (r0, 0, z0),
        (out - square, 0, z0),
        (out, 0, z0 + square),
        (out, 0, z1 - square),
        (out - square, 0, z1),
        (r1, 0, z1),
    ]
    return tube(curve(points, 24), rng.uniform(0.004, 0.008), 10, flatten=rng.uniform(0.6, 1.6))


def bail(radius: float, height: float) -> Mesh:
    """A half ring over the opening."""
    angles = np.linspace(0, np.pi, 20)
    points = np.stack(
        [0 * angles, radius * np.cos(angles), height + 1.1 * radius * np.sin(angles)], axis=1
    )
    return tube(points, 0.0035, 8)


def ear(radius: float, height: float) -> Mesh:
    """A horizontal handle on the +x side."""
    half = radius * 0.4
    points = [
        (radius * 0.93, -half, height),
        (radius + 0.02, -half, height),
        (radius + 0.027, 0, height),
        (radius + 0.02, half, height),
        (radius * 0.93, half, height),
    ]
    return tube(curve(points, 16), 0.0055, 8)
