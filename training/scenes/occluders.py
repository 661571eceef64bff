# SPDX-License-Identifier: Apache-2.0
"""What comes into the picture and has no label: hands on arms, grippers."""

from __future__ import annotations

import numpy as np

from training.scenes.meshes import Array, Mesh, Rng, about, box, curve, superquadric, tube
from training.scenes.placement import Placed
from training.scenes.props import Look, Part, corner_normals
from training.scenes.surfaces import Surfaces, muted

_SHARE = 0.22
_SKIN = (
    (0.95, 0.76, 0.65),
    (0.87, 0.65, 0.52),
    (0.7, 0.48, 0.36),
    (0.5, 0.33, 0.24),
    (0.3, 0.2, 0.15),
)


def draw_occluders(placed: list[Placed], surfaces: Surfaces, rng: Rng) -> list[Part]:
    """Parts, in world coordinates, that reach for one of the props; most scenes have none."""
    if rng.random() > _SHARE:
        return []
    found: list[Part] = []
    for _ in range(int(rng.choice([1, 1, 2]))):
        item = placed[int(rng.integers(len(placed)))]
        points = item.prop.points() @ item.rotation.T + item.position
        aim = points[int(rng.integers(len(points)))] + rng.normal(0, 0.02, 3) + (0, 0, 0.03)
        turn = about("z", float(rng.uniform(0, 360))) @ about("y", float(-rng.uniform(5, 60)))
        roll = about("x", float(rng.uniform(-90, 90)))
        parts = _hand(surfaces, rng) if rng.random() < 0.65 else _gripper(rng)
        for mesh, look in parts:
            own = mesh.turned(turn @ roll).moved(*aim)
            found.append((own, corner_normals(own), look))
    return found


def _hand(surfaces: Surfaces, rng: Rng) -> list[tuple[Mesh, Look]]:
    """A hand whose fingertips are about the origin, its arm along +x, in a sleeve or bare."""
    base = np.array(_SKIN[rng.integers(len(_SKIN))]) * rng.uniform(0.85, 1.1)
    glove = rng.random() < 0.15
    tint = muted(rng) if glove else np.clip(base, 0, 1).astype(np.float32)
    skin = Look(tint, None, float(rng.uniform(0.5, 0.9)))
    size, bent = rng.uniform(0.85, 1.1), rng.uniform(0.1, 1.0)
    meshes: list[Mesh] = [superquadric((0.1, 0.085, 0.034), 0.7, 0.7).moved(0.13, 0, 0.03)]
    for finger in range(4):
        y = (finger - 1.5) * 0.021
        length = (0.07, 0.08, 0.075, 0.06)[finger] * rng.uniform(0.9, 1.1)
        meshes.append(_finger((0.088, y, 0.03), length, bent * rng.uniform(0.7, 1.3)))
    thumb = _finger((0.12, 0, 0), 0.065, bent * 0.6).moved(-0.12, 0, 0).turned(about("z", -50))
    meshes.append(thumb.moved(0.12, 0.045, 0.022))
    wrist = [(0.17, 0, 0.03), (0.22, 0, 0.032), (0.36, 0, 0.035), (0.6, 0, 0.04)]
    radii = np.interp(np.linspace(0, 1, 14), [0, 0.1, 0.5, 1], [0.027, 0.026, 0.036, 0.045])
    parts = [(mesh.stretched(size, size, size), skin) for mesh in meshes]
    arm = tube(curve(wrist, 14), radii * size, 20, flatten=0.8)
    parts.append((arm, skin))
    if rng.random() < 0.6:
        texture = surfaces.skin(rng, 128) if rng.random() < 0.5 else None
        cloth = Look(muted(rng) if texture is None else np.ones(3, np.float32), texture, 0.95)
        start = rng.uniform(0.2, 0.32)
        line = np.linspace((start, 0, 0.033), (0.65, 0, 0.042), 10)
        wave = 1 + 0.06 * np.sin(np.arange(10) * rng.uniform(1, 3))
        parts.append((tube(line, np.linspace(0.042, 0.058, 10) * wave * size, 20), cloth))
    return parts


def _finger(root: tuple[float, float, float], length: float, bent: float) -> Mesh:
    """Three joints from `root` towards -x, each bent down a little more."""
    points, angle, at = [np.array(root)], 0.2 * bent, np.array(root)
    for share in (0.45, 0.32, 0.23):
        at = at + length * share * np.array([-np.cos(angle), 0, -np.sin(angle)])
        points.append(at)
        angle += 0.7 * bent
    line: Array = curve(np.array(points), 12)
    radii = np.interp(np.linspace(0, 1, 12), [0, 0.6, 0.93, 1], [0.0095, 0.0085, 0.0075, 0.004])
    return tube(line, radii, 12)


def _gripper(rng: Rng) -> list[tuple[Mesh, Look]]:
    """Two fingers, a palm and a robot's wrist along +x."""
    shell = Look(muted(rng), None, float(rng.uniform(0.2, 0.6)))
    steel = Look(np.full(3, 0.6, np.float32), None, 0.3, metal=True)
    gap, long = rng.uniform(0.01, 0.045), rng.uniform(0.04, 0.09)
    wide, thick = rng.uniform(0.012, 0.025), rng.uniform(0.008, 0.014)
    parts: list[tuple[Mesh, Look]] = []
    for side in (-1, 1):
        parts.append((box((long, thick, wide), (long / 2 - 0.01, side * gap, 0)), steel))
    palm = (rng.uniform(0.04, 0.08), rng.uniform(0.09, 0.15), rng.uniform(0.04, 0.07))
    parts.append((superquadric(palm, 0.3, 0.3).moved(long + palm[0] / 2 - 0.01, 0, 0), shell))
    radius = rng.uniform(0.025, 0.045)
    start = long + palm[0] - 0.012
    arm = tube(np.linspace((start, 0, 0), (start + 0.5, 0, 0), 6), radius, 24)
    ring = tube(np.linspace((start + 0.05, 0, 0), (start + 0.07, 0, 0), 4), radius * 1.15, 24)
    parts += [(arm, shell), (ring, steel)]
    return parts
