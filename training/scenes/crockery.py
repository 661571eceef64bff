# SPDX-License-Identifier: Apache-2.0
"""Crockery and cookware, turned on a lathe; every call draws other proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.scenes.meshes import Mesh, Rng, about, curve, lathe, superquadric, tube
from training.scenes.props import Parts, Shape

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


def bowl(rng: Rng) -> Shape:
    """An open bowl."""
    radius, height = rng.uniform(0.05, 0.11), rng.uniform(0.035, 0.085)
    body = standing(
        [(radius * rng.uniform(0.35, 0.6), 0), (radius * 0.82, height * 0.4), (radius, height)]
    )
    return Shape(
        "bowl",
        [(lathe(shell(body, 0.005)), rng.choice(["main", "label"]))],
        inside=(radius * 0.6, 0.02),
        upright=0.9,
    )


def plate(rng: Rng) -> Shape:
    """A flat plate."""
    radius, height = rng.uniform(0.07, 0.13), rng.uniform(0.012, 0.028)
    body = standing([(radius * 0.6, 0), (radius * 0.68, height * 0.25), (radius, height)])
    return Shape(
        "plate",
        [(lathe(shell(body, 0.004), 56), rng.choice(["main", "label"]))],
        inside=(radius * 0.7, 0.006),
        upright=0.92,
    )


def pan(rng: Rng) -> Shape:
    """A frying pan."""
    radius, height = rng.uniform(0.07, 0.12), rng.uniform(0.025, 0.05)
    body = wall(rng, radius * 0.8, radius * 0.95, radius, height)
    reach = radius * rng.uniform(1.2, 1.9)
    rod = tube(
        curve(
            [
                (radius * 0.97, 0, height * 0.8),
                (radius + reach * 0.3, 0, height * 1.1),
                (radius + reach, 0, height * rng.uniform(1.0, 2.0)),
            ],
            12,
        ),
        np.linspace(0.009, 0.013, 12),
        flatten=0.6,
    )
    return Shape(
        "pan",
        [(lathe(shell(body, 0.004)), "main"), (rod, rng.choice(["dark", "second"]))],
        inside=(radius * 0.65, 0.006),
        upright=0.93,
    )


def pot(rng: Rng) -> Shape:
    """A cooking pot with two handles, open or with a lid."""
    radius, height = rng.uniform(0.06, 0.11), rng.uniform(0.06, 0.13)
    body = wall(rng, radius, radius, radius, height)
    ears = [ear(radius, height * 0.75).turned(about("z", angle)) for angle in (0, 180)]
    parts: Parts = [(lathe(shell(body, 0.004)), "main")]
    parts += [(ear, rng.choice(["main", "dark"])) for ear in ears]
    if rng.random() < 0.4:
        lid = [(0, height), (radius, height), (radius * 0.6, height + 0.012), (0, height + 0.018)]
        parts += [
            (lathe(lid), "main"),
            (superquadric((0.03, 0.03, 0.022)).moved(0, 0, height + 0.027), "dark"),
        ]
        return Shape("pot", parts, upright=0.95)
    return Shape("pot", parts, inside=(radius * 0.75, 0.006), upright=0.95)


def bucket(rng: Rng) -> Shape:
    """A pail whose bail stands up or lies over."""
    radius, height = rng.uniform(0.05, 0.08), rng.uniform(0.08, 0.13)
    body = wall(rng, radius * rng.uniform(0.65, 0.9), radius * 0.93, radius, height)
    bow = (
        bail(radius, 0.0)
        .turned(about("y", float(rng.uniform(-80, 80))))
        .moved(0, 0, height - 0.008)
    )
    return Shape(
        "bucket",
        [(lathe(shell(body, 0.003)), "main"), (bow, "second")],
        inside=(radius * 0.6, 0.006),
    )


def teapot(rng: Rng) -> Shape:
    """A round pot with lid, spout and handle."""
    radius, height = rng.uniform(0.055, 0.085), rng.uniform(0.08, 0.13)
    body = standing(
        [
            (radius * 0.6, 0),
            (radius, height * 0.45),
            (radius * 0.75, height * 0.85),
            (0.03, height),
        ]
    )
    lid = lathe([(0, height), (0.032, height), (0.026, height + 0.012), (0, height + 0.016)])
    knob = superquadric((0.02,) * 3).moved(0, 0, height + 0.022)
    far = radius * rng.uniform(1.6, 2.0)
    spout = tube(
        curve(
            [
                (-radius * 0.7, 0, height * 0.3),
                (-radius * 1.25, 0, height * 0.45),
                (-far * 0.88, 0, height * 0.85),
                (-far, 0, height * rng.uniform(0.95, 1.15)),
            ],
            14,
        ),
        np.linspace(0.018, 0.008, 14),
    )
    grip = handle(rng, body, 0.2, 0.8) if rng.random() < 0.6 else bail(radius, height)
    slot = rng.choice(["main", "second"])
    body_mesh = lathe(np.concatenate([body, [(0, height)]]))
    parts = [(body_mesh, "main"), (spout, "main"), (grip, slot), (lid, slot), (knob, slot)]
    return Shape("teapot", parts)


def jug(rng: Rng) -> Shape:
    """A pitcher with a large handle and a spout."""
    height = rng.uniform(0.16, 0.25)
    base, belly, neck = rng.uniform(0.04, 0.06), rng.uniform(0.05, 0.085), rng.uniform(0.03, 0.05)
    body = standing(
        [(base, 0), (belly, height * 0.35), (neck, height * 0.8), (neck * 1.2, height)]
    )
    lip = tube(
        [(neck * 0.9, 0, height * 0.93), (neck * 1.35, 0, height * 0.99), (neck * 1.6, 0, height)],
        [0.014, 0.011, 0.006],
    ).turned(about("z", 180))
    return Shape(
        "jug",
        [
            (lathe(shell(body, 0.004)), "main"),
            (handle(rng, body, 0.25, 0.92), "main"),
            (lip, "main"),
        ],
    )
