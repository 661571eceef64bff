# SPDX-License-Identifier: Apache-2.0
"""Hands and grippers come to a prop, from above, and in some scenes only."""

from __future__ import annotations

import numpy as np
import pytest

from training.scenes.meshes import box
from training.scenes.occluders import draw_occluders
from training.scenes.placement import Placed
from training.scenes.props import Look, Prop, corner_normals
from training.scenes.surfaces import Surfaces


def placed() -> list[Placed]:
    mesh = box((0.1, 0.1, 0.1))
    look = Look(np.ones(3, np.float32), None, 0.5)
    prop = Prop("x", [(mesh, corner_normals(mesh), look)], 1.0, False, None)
    return [Placed(prop, np.eye(3), np.array([0.3, 0, 0.05]))]


def test_they_reach_for_a_prop_and_come_from_above() -> None:
    found = [draw_occluders(placed(), Surfaces(), np.random.default_rng(s)) for s in range(60)]
    with_any = [parts for parts in found if parts]
    assert 4 <= len(with_any) <= 25  # 22 % of the scenes
    for parts in with_any:
        points = np.concatenate([mesh.vertices for mesh, _, _ in parts])
        away = np.linalg.norm(points - (0.3, 0, 0.05), axis=1)
        assert away.min() < 0.15
        assert away.max() > 0.35  # an arm leads out of the group
        assert points[away > 0.4, 2].mean() > 0.05
        for mesh, normals, look in parts:
            assert normals.shape == (len(mesh.faces), 3, 3)
            assert np.linalg.norm(normals, axis=2) == pytest.approx(1)
            assert 0 <= look.colour.min() <= look.colour.max() <= 1
