# SPDX-License-Identifier: Apache-2.0
"""What an object of a scene is: parts, each a mesh with the number of its material."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from training.scenes.meshes import Mesh

Slot = str
"""What a material is for: "main" and "second" (of any kind), "label" (all round or on each side),
"dark", "paper", "metal", "wood" or "clear"."""


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
