# SPDX-License-Identifier: Apache-2.0
"""Props fall onto the table and one another until they lie, stacked and leaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from training.rendering.mujoco_beside_torch import mujoco
from training.scenes.meshes import Array, Rng, about
from training.scenes.placement import Placed, any_rotation
from training.scenes.props import Prop

_STEP_S = 0.005
_STEPS = 300
_AT_REST_M_S = 0.08
_SPREAD_M = 0.09
_HULL_POINTS = 32
_SOLID = 0.55  # a part that fills this share of its convex hull is not cut up
_CUTS = 3


def settle(props: Sequence[Prop], rng: Rng) -> list[Placed]:
    """Drop props one above the other; those that roll away or do not come to rest are left out.

    Each part of a prop falls as the convex hulls of its pieces, so that mugs are hollow and
    handles open. See MuJoCo's documentation for the contact model.
    """
    spec = mujoco.MjSpec()
    spec.option.timestep = _STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.iterations = 12
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1])
    poses, height = [], 0.0
    for number, prop in enumerate(props):
        pose = _pose(prop, rng)
        points = prop.points() @ pose.T
        low, high = points.min(axis=0), points.max(axis=0)
        aside = rng.normal(0, _SPREAD_M, 2)
        place = np.array([*(aside - (low + high)[:2] / 2), height * 0.5 + 0.004 - low[2]])
        height += float(high[2] - low[2])
        poses.append((pose, place))
        body = spec.worldbody.add_body(name=f"b{number}", pos=place)
        body.add_freejoint()
        _add_hulls(spec, body, number, prop, pose, float(np.linalg.norm(high - low)))
    model = spec.compile()
    model.dof_damping[:] = np.tile([0.02, 0.02, 0.02, 2e-5, 2e-5, 2e-5], len(props))
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, _STEPS)
    placed = []
    for number, (prop, (pose, _)) in enumerate(zip(props, poses, strict=True)):
        body = data.body(f"b{number}")
        speed = float(np.linalg.norm(data.qvel[6 * number : 6 * number + 3]))
        near = float(np.abs(body.xpos[:2]).max()) < 0.5
        if near and speed < _AT_REST_M_S and np.isfinite(body.xpos).all():
            placed.append(Placed(prop, body.xmat.reshape(3, 3) @ pose, body.xpos.copy()))
    return placed


def _pose(prop: Prop, rng: Rng) -> Array:
    yaw = about("z", float(rng.uniform(0, 360)))
    if rng.random() < 0.6 * prop.upright:
        return yaw
    if rng.random() < 0.3:
        return any_rotation(rng)
    size = np.ptp(prop.points(), axis=0)
    lying = about("y", 90.0) if size[2] > size[:2].max() else np.eye(3)
    tilt = about("y", float(rng.normal(0, 25))) @ about("x", float(rng.normal(0, 25)))
    return yaw @ tilt @ lying


def _add_hulls(spec: Any, body: Any, number: int, prop: Prop, pose: Array, extent: float) -> None:
    """Convex pieces of a prop, and a mass and inertia of a body of its extent."""
    body.explicitinertial = True
    body.mass = 0.2
    body.ipos = (prop.points() @ pose.T).mean(axis=0)
    body.inertia = [0.2 * extent**2 / 20] * 3
    for part, (mesh, _, _) in enumerate(prop.parts):
        for piece, points in enumerate(convex_pieces(mesh.vertices @ pose.T, mesh.faces)):
            name = f"h{number}_{part}_{piece}"
            added = spec.add_mesh(name=name)
            added.uservert = points.ravel()
            added.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
            body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, mass=0, friction=[0.6, 0.01, 1e-4]
            )


def convex_pieces(vertices: Array, faces: NDArray[np.int64]) -> list[Array]:
    """Points of convex hulls that together are about the mesh; thin ones are made 1 mm thick."""
    corners = vertices[faces]
    a, b, c = (corners[:, k] for k in range(3))
    volume = abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6))
    whole = _hull(vertices[np.unique(faces)])
    cuts = 0 if volume > _SOLID * whole[1] else _CUTS
    groups = [np.arange(len(faces))]
    centres = corners.mean(axis=1)
    for _ in range(cuts):
        halves = []
        for group in groups:
            axis = int(np.ptp(centres[group], axis=0).argmax())
            middle = np.ptp(centres[group, axis]) / 2 + centres[group, axis].min()
            above = centres[group, axis] > middle
            halves += [part for part in (group[above], group[~above]) if len(part)]
        groups = halves
    if len(groups) == 1:
        return [whole[0]]
    return [_hull(vertices[np.unique(faces[group])])[0] for group in groups]


def _hull(points: Array) -> tuple[Array, float]:
    """Some corners of the convex hull, and its volume."""
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):
        thick = np.concatenate(
            [points + 5e-4 * np.eye(3)[k] * s for k in range(3) for s in (1, -1)]
        )
        hull = ConvexHull(thick)
        points = thick
    corners = points[hull.vertices]
    if len(corners) > _HULL_POINTS:
        directions = np.random.default_rng(0).normal(size=(_HULL_POINTS, 3))
        corners = corners[np.unique((corners @ directions.T).argmax(axis=0))]
    if np.linalg.matrix_rank(corners - corners.mean(axis=0), tol=2e-4) < 3:
        corners = np.concatenate(
            [corners + 5e-4 * np.eye(3)[k] * s for k in range(3) for s in (1, -1)]
        )
    return corners, float(hull.volume)
