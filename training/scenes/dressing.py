# SPDX-License-Identifier: Apache-2.0
"""Sizes and materials: from a shape or a model to a prop in a scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.rendering.sh3f import CatalogueModel
from training.scenes.cutlery import CUTLERY
from training.scenes.handtools import HAND_TOOLS
from training.scenes.meshes import Mesh, Rng
from training.scenes.models import ModelStore, ReadyModel
from training.scenes.props import Look, Prop, Shape, corner_normals
from training.scenes.solids import SOLIDS
from training.scenes.stationery import STATIONERY
from training.scenes.surfaces import Surfaces, calm, colour, muted
from training.scenes.vessels import VESSELS
from training.scenes.wires import WIRES

Maker = Callable[[Rng], Shape]

SLENDER: tuple[Sequence[Maker], ...] = (STATIONERY, CUTLERY, HAND_TOOLS, WIRES)

MODEL_SHARE = 0.25
"""Of the props, Sweet Home 3D models."""
SLENDER_SHARE = 0.45
"""Of the props, those that are thin, long, holed or of wire."""
GLASSWARE = frozenset({"tumbler", "goblet", "jar", "bottle", "vase", "bowl", "jug"})
_GLASS = 0.12
_LOUD = 0.2  # of scenes have colours and textures of any kind
_TEXTURE_SIDE = 256
_MODEL_SIZE_M = (0.05, 0.28)
_TEXTURED = {"main": 0.25, "second": 0.12}
_METALS = (
    (0.8, 0.8, 0.81),
    (0.9, 0.9, 0.9),
    (0.83, 0.68, 0.4),
    (0.8, 0.5, 0.38),
)


class PropMaker:
    """Draws props."""

    def __init__(
        self,
        models: Sequence[CatalogueModel],
        store: ModelStore,
        surfaces: Surfaces,
        slender: float | None = None,
    ) -> None:
        """Prepare.

        Args:
            models: That may be drawn.
            store: Of models made ready.
            surfaces: Textures.
            slender: Share of slender props in every scene; None: drawn for each.
        """
        self._slender = slender
        self._models = models
        self._store = store
        self._surfaces = surfaces
        self._loud = False

    def draw(self, rng: Rng, count: int) -> list[Prop]:
        """Props of a scene: models and shapes made here, dressed in one style."""
        self._loud = bool(rng.random() < _LOUD)
        drawn = float(rng.choice([SLENDER_SHARE, SLENDER_SHARE, 0.15, 0.9]))
        slender = drawn if self._slender is None else self._slender
        return [self._any(rng, slender) for _ in range(count)]

    def _any(self, rng: Rng, slender: float) -> Prop:
        if rng.random() < slender:
            makers: Sequence[Maker] = SLENDER[int(rng.integers(len(SLENDER)))]
        elif rng.random() < MODEL_SHARE / (1 - SLENDER_SHARE):
            return self._furniture(rng)
        else:
            makers = VESSELS if rng.random() < 0.5 else SOLIDS
        return self._household(makers[int(rng.integers(len(makers)))](rng), rng)

    def _furniture(self, rng: Rng) -> Prop:
        ready = None
        while ready is None:
            model = self._models[int(rng.integers(len(self._models)))]
            ready = self._store.load(model)
        size = float(np.exp(rng.uniform(*np.log(_MODEL_SIZE_M))))
        stretch = size * np.exp(rng.normal(0, 0.08, 3))
        parts = []
        for (mesh, normals, _, _, _), look in zip(
            ready.parts, self._repaint(ready, rng), strict=True
        ):
            bent = normals / stretch
            bent /= np.maximum(np.linalg.norm(bent, axis=2, keepdims=True), 1e-15)
            parts.append((mesh.stretched(*stretch), bent, look))
        return Prop(model.model_id, parts, 0.8, flat_top=False, inside=None)

    def _repaint(self, ready: ReadyModel, rng: Rng) -> list[Look]:
        """The model's own materials, other colours, or other textures."""
        kind = rng.choice(["own", "own", "own", "colours", "skins", "one"])
        one = self._look("main", rng)
        looks = []
        for _, _, rgb, shine, number in ready.parts:
            texture = ready.textures[number] if number >= 0 else None
            own = np.ones(3, np.float32) if number >= 0 else np.array(rgb, np.float32)
            if kind == "own":
                looks.append(Look(own, texture, float(np.clip(0.9 - shine, 0.15, 0.9))))
            elif kind == "colours":
                looks.append(Look(self._colour(rng), None, float(rng.uniform(0.15, 0.9))))
            elif kind == "skins":
                looks.append(self._look("skin", rng))
            else:
                looks.append(one)
        return looks

    def _household(self, shape: Shape, rng: Rng) -> Prop:
        size = float(np.exp(rng.normal(0, 0.15)))
        stretch = size * np.exp(rng.normal(0, 0.06, 3))
        looks = {slot: self._look(slot, rng) for slot in sorted({slot for _, slot in shape.parts})}
        if shape.kind in GLASSWARE and rng.random() < _GLASS:
            looks["main"] = self._look("clear", rng)
        parts = []
        for mesh, slot in shape.parts:
            own = mesh.stretched(*stretch)
            parts.append((own, corner_normals(own), looks[slot]))
        inside = shape.inside
        if inside is not None:
            inside = (inside[0] * float(min(stretch[:2])), inside[1] * float(stretch[2]))
        return Prop(shape.kind, _joined(parts), shape.upright, shape.flat_top, inside)

    def _colour(self, rng: Rng) -> NDArray[np.float32]:
        return colour(rng) if self._loud else muted(rng)

    def _look(self, slot: str, rng: Rng) -> Look:
        """The material of a part; see `shapes.Slot`."""
        roughness = float(rng.uniform(0.1, 0.4) if rng.random() < 0.45 else rng.uniform(0.4, 1.0))
        if slot == "metal" or (slot in _TEXTURED and rng.random() < 0.12):
            kinds = _METALS[:1] if rng.random() < 0.8 else _METALS[1:]
            tint = np.array(kinds[int(rng.integers(len(kinds)))], np.float32)
            return Look(tint * np.float32(rng.uniform(0.6, 1)), None, roughness * 0.7, metal=True)
        if slot == "clear":
            return Look(np.clip(0.75 + 0.4 * muted(rng), 0, 1), None, 0.05, clear=True)
        if slot == "paper":
            pale = np.array([0.93, 0.91, 0.86], np.float32) * np.float32(rng.uniform(0.8, 1))
            return Look(pale, None, 0.9)
        if slot == "dark":
            return Look(self._colour(rng) * np.float32(rng.uniform(0.05, 0.3)), None, roughness)
        texture = self._texture(slot, rng)
        tint = self._colour(rng) if texture is None else np.ones(3, np.float32)
        return Look(tint, texture, roughness)

    def _texture(self, slot: str, rng: Rng) -> NDArray[np.uint8] | None:
        surfaces = self._surfaces
        if slot == "label":
            return surfaces.label(rng, _TEXTURE_SIDE)
        if slot == "wood" or (slot in _TEXTURED and rng.random() < 0.08):
            return surfaces.wood(rng, _TEXTURE_SIDE)
        if slot == "skin" or rng.random() < _TEXTURED.get(slot, 0.0):
            skin = surfaces.skin(rng, _TEXTURE_SIDE)
            return skin if self._loud else calm(skin, rng)
        return None


def _joined(parts: list[tuple[Mesh, np.ndarray, Look]]) -> list[tuple[Mesh, np.ndarray, Look]]:
    """Parts of one look as one mesh: fewer meshes compile and draw faster."""
    joined = []
    for look in dict.fromkeys(look for _, _, look in parts):
        same = [(mesh, normals) for mesh, normals, other in parts if other is look]
        offsets = np.cumsum([0, *(len(mesh.vertices) for mesh, _ in same)])
        faces = [mesh.faces + first for (mesh, _), first in zip(same, offsets, strict=False)]
        whole = replace(
            same[0][0],
            vertices=np.concatenate([mesh.vertices for mesh, _ in same]),
            faces=np.concatenate(faces),
            uv=np.concatenate([mesh.uv for mesh, _ in same]),
        )
        joined.append((whole, np.concatenate([normals for _, normals in same]), look))
    return joined
