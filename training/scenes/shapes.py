# SPDX-License-Identifier: Apache-2.0
"""What an object of a scene is: parts, each a mesh with the number of its material."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.scenes.meshes import Mesh

Slot = str
"""What a material is for: "main", "label" (all round or on each side), "second", "dark"."""


@dataclass(frozen=True, eq=False)
class Shape:
    """An object made here; metres, z up, its main pose standing.

    Attributes:
        kind: its category.
        parts: meshes with their material slots.
        flat_top: other things may stand on it.
        inside: radius and floor height of a hollow that other things may lie in, metres.
    """

    kind: str
    parts: Sequence[tuple[Mesh, Slot]]
    flat_top: bool = False
    inside: tuple[float, float] | None = None
    upright: float = field(default=0.8)


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
