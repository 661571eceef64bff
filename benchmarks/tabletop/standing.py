# SPDX-License-Identifier: Apache-2.0
"""Objects stand on the table with what is seen of them, not with their collision shapes.

The assets' collision shapes end up to 8 mm above the lowest point of their visual meshes. Physics
rests the former on the table, so the latter sink into it, and a strip along an object's foot
would count as hidden, by nothing but the table that it stands on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from benchmarks.tabletop.stage import TABLE_HALF_M, VISUAL_GROUP, Stage
from training.rendering.mujoco_beside_torch import mujoco

# What lies deeper has fallen off the table, or through it; the assets' errors are below 8 mm.
_MAX_DEPTH_M = 0.015
_CARRIES = 0.5  # least vertical part of a contact's normal for one body to carry the other


class Standing:
    """Lifts a stage's objects by what they sink, while they are rendered."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        model = stage.model
        self._owner = stage.geom_owners()
        seen = (self._owner >= 0) & (model.geom_group == VISUAL_GROUP)
        seen &= model.geom_type == mujoco.mjtGeom.mjGEOM_MESH  # primitives collide as they look
        self._vertices = {
            int(geom): mesh_vertices(model, int(geom)) for geom in np.flatnonzero(seen)
        }

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Hold the geoms where they belong; the physics' own positions come back afterwards."""
        data, before = self._stage.data, self._stage.data.geom_xpos.copy()
        mine = self._owner >= 0
        data.geom_xpos[mine, 2] += self.depths()[self._owner[mine]]
        try:
            yield
        finally:
            data.geom_xpos[:] = before

    def depths(self) -> NDArray[np.float64]:
        """(N,) metres by which each object, or what carries it, sinks into the table; >= 0."""
        data = self._stage.data
        lowest = np.full((len(self._stage.body_ids), 3), np.inf)
        for geom, vertices in self._vertices.items():
            placed = vertices @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]
            low = placed[placed[:, 2].argmin()]
            if low[2] < lowest[self._owner[geom], 2]:
                lowest[self._owner[geom]] = low
        on_table = (np.abs(lowest[:, :2]) <= TABLE_HALF_M).all(axis=1)
        on_table &= lowest[:, 2] > -_MAX_DEPTH_M
        depths = np.where(on_table, np.maximum(-lowest[:, 2], 0.0), 0.0)
        carried = self._carried()
        for _ in range(len(depths)):
            for above, below in carried:
                depths[above] = max(depths[above], depths[below])
        return depths

    def _carried(self) -> set[tuple[int, int]]:
        """Pairs of objects of which the first rests on the second."""
        pairs = set()
        for contact in self._stage.data.contact:
            first, second = self._owner[contact.geom]
            upward = contact.frame[2]  # the normal leads from the first geom to the second
            if first >= 0 and second >= 0 and first != second and abs(upward) > _CARRIES:
                above, below = (second, first) if upward > 0 else (first, second)
                pairs.add((int(above), int(below)))
        return pairs


def mesh_vertices(model: mujoco.MjModel, geom: int) -> NDArray[np.float64]:
    """(P, 3) vertices of a geom's mesh, in the geom's own frame."""
    mesh = model.geom_dataid[geom]
    first = model.mesh_vertadr[mesh]
    vertices = model.mesh_vert[first : first + model.mesh_vertnum[mesh]]
    return vertices.astype(np.float64)
