# SPDX-License-Identifier: Apache-2.0
"""Sizes and materials: from a shape or a model to a thing in a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.scenes.meshes import Mesh
from training.scenes.models import ModelStore, ReadyModel
from training.scenes.shapes import Shape
from training.scenes.solids import SOLIDS
from training.scenes.surfaces import Surfaces, colour
from training.scenes.thing import Look, Thing, corner_normals
from training.scenes.vessels import VESSELS
from training.taos.sources.sh3f import CatalogueModel

Rng = np.random.Generator

MODEL_SHARE = 0.4
_TEXTURE_SIDE = 256
_MODEL_SIZE_M = (0.07, 0.28)


class Wardrobe:
    """Draws things."""

    def __init__(
        self, models: Sequence[CatalogueModel], store: ModelStore, surfaces: Surfaces
    ) -> None:
        self._models = models
        self._store = store
        self._surfaces = surfaces

    def draw(self, rng: Rng) -> Thing:
        """A model or a shape made here, dressed."""
        if rng.random() < MODEL_SHARE:
            return self._furniture(rng)
        makers = VESSELS if rng.random() < 0.5 else SOLIDS
        return self._household(makers[rng.integers(len(makers))](rng), rng)

    def _furniture(self, rng: Rng) -> Thing:
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
        return Thing(model.model_id, parts, 0.8, flat_top=False, inside=None)

    def _repaint(self, ready: ReadyModel, rng: Rng) -> list[Look]:
        """The model's own materials, other colours, or other textures."""
        kind = rng.choice(["own", "own", "colours", "skins", "one"])
        one = self._look("main", rng)
        looks = []
        for _, _, rgb, shine, number in ready.parts:
            texture = ready.textures[number] if number >= 0 else None
            own = np.ones(3, np.float32) if number >= 0 else np.array(rgb, np.float32)
            if kind == "own":
                looks.append(Look(own, texture, 0.5 * shine, 0.4))
            elif kind == "colours":
                looks.append(Look(colour(rng), None, rng.uniform(0, 0.5), rng.uniform(0.1, 0.9)))
            elif kind == "skins":
                looks.append(self._look("skin", rng))
            else:
                looks.append(one)
        return looks

    def _household(self, shape: Shape, rng: Rng) -> Thing:
        size = float(np.exp(rng.normal(0, 0.15)))
        stretch = size * np.exp(rng.normal(0, 0.06, 3))
        looks = {slot: self._look(slot, rng) for slot in sorted({slot for _, slot in shape.parts})}
        parts = []
        for mesh, slot in shape.parts:
            own = mesh.stretched(*stretch)
            parts.append((own, corner_normals(own), looks[slot]))
        inside = shape.inside
        if inside is not None:
            inside = (inside[0] * float(min(stretch[:2])), inside[1] * float(stretch[2]))
        return Thing(shape.kind, _joined(parts), shape.upright, shape.flat_top, inside)

    def _look(self, slot: str, rng: Rng) -> Look:
        texture = None
        tint = colour(rng)
        if slot == "label":
            texture = self._surfaces.label(rng, _TEXTURE_SIDE)
        elif slot == "skin" or rng.random() < {"main": 0.35, "second": 0.2}.get(slot, 0.0):
            texture = self._surfaces.skin(rng, _TEXTURE_SIDE)
        elif slot == "dark":
            tint = tint * np.float32(rng.uniform(0.1, 0.35))
        elif slot == "paper":
            tint = np.array([0.93, 0.91, 0.84], np.float32) * np.float32(rng.uniform(0.85, 1))
        if texture is not None:
            tint = np.ones(3, np.float32)
        shiny = rng.random() < 0.4
        return Look(
            tint,
            texture,
            rng.uniform(0.3, 0.9) if shiny else rng.uniform(0, 0.25),
            rng.uniform(0.1, 0.9),
        )


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
