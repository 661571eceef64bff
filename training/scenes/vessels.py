# SPDX-License-Identifier: Apache-2.0
"""Vessels: turned on a lathe, with handles and spouts; every call draws other proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.scenes.meshes import Mesh, about, box, curve, lathe, superquadric, tube
from training.scenes.shapes import Shape, radius_at, shell

Rng = np.random.Generator
Profile = NDArray[np.float64]


def mug(rng: Rng) -> Shape:
    """A cup with a handle."""
    radius, height = rng.uniform(0.033, 0.05), rng.uniform(0.07, 0.12)
    body = _wall(
        rng, radius * rng.uniform(0.7, 1.0), radius * rng.uniform(0.9, 1.1), radius, height
    )
    return Shape(
        "mug",
        [
            (lathe(shell(body, 0.004)), rng.choice(["main", "label"])),
            (_handle(rng, body, 0.2, 0.85), rng.choice(["main", "second"])),
        ],
        inside=(radius * 0.6, 0.006),
    )


def jug(rng: Rng) -> Shape:
    """A pitcher with a large handle and a spout."""
    height = rng.uniform(0.16, 0.25)
    base, belly, neck = rng.uniform(0.04, 0.06), rng.uniform(0.05, 0.085), rng.uniform(0.03, 0.05)
    body = _standing(
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
            (_handle(rng, body, 0.25, 0.92), "main"),
            (lip, "main"),
        ],
    )


def teapot(rng: Rng) -> Shape:
    """A round pot with lid, spout and handle."""
    radius, height = rng.uniform(0.055, 0.085), rng.uniform(0.08, 0.13)
    body = _standing(
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
    handle = _handle(rng, body, 0.2, 0.8) if rng.random() < 0.6 else _bail(radius, height)
    slot = rng.choice(["main", "second"])
    body_mesh = lathe(np.concatenate([body, [(0, height)]]))
    parts = [(body_mesh, "main"), (spout, "main"), (handle, slot), (lid, slot), (knob, slot)]
    return Shape("teapot", parts)


def bottle(rng: Rng) -> Shape:
    """A bottle with a neck and a cap, labelled or not."""
    radius, height = rng.uniform(0.025, 0.045), rng.uniform(0.15, 0.3)
    neck, shoulder = radius * rng.uniform(0.28, 0.5), rng.uniform(0.5, 0.75)
    outline = [
        (radius, 0),
        (radius * rng.uniform(0.85, 1.05), height * shoulder * 0.5),
        (radius, height * shoulder),
        (neck, height * min(shoulder + rng.uniform(0.1, 0.25), 0.9)),
        (neck, height),
    ]
    body = _standing(outline)
    cap = rng.uniform(0.012, 0.03)
    middle = radius_at(body, height * shoulder * 0.5) + 0.0008
    low, high = height * shoulder * 0.2, height * shoulder * rng.uniform(0.6, 0.85)
    parts = [
        (lathe(np.concatenate([body, [(0, height)]])), "main"),
        (_disc(neck * 1.15, height - 0.3 * cap, height + 0.7 * cap), "second"),
    ]
    if rng.random() < 0.7:
        edge = [radius_at(body, z) + 0.0008 for z in (low, high)]
        label = [(0, low), (edge[0], low), (middle, (low + high) / 2), (edge[1], high), (0, high)]
        parts.append((lathe(label), "label"))
    return Shape("bottle", parts, upright=0.65)


def spray_bottle(rng: Rng) -> Shape:
    """A bottle with a trigger and a nozzle."""
    width, depth = rng.uniform(0.06, 0.09), rng.uniform(0.035, 0.055)
    height = rng.uniform(0.13, 0.19)
    flask = _standing([(1, 0), (1, height * 0.55), (0.8, height * 0.75), (0.25, height)])
    body = lathe(np.concatenate([flask, [(0, height)]])).stretched(width / 2, depth / 2, 1)
    head = box((0.075, 0.022, 0.024), (0.012, 0, height + 0.03))
    neck = _disc(0.013, height - 0.01, height + 0.02)
    trigger = tube(
        curve([(0.03, 0, height + 0.02), (0.04, 0, height - 0.005), (0.052, 0, height - 0.03)], 8),
        0.005,
    )
    nozzle = _disc(0.007, -0.01, 0.012).turned(about("y", 90)).moved(0.055, 0, height + 0.033)
    parts = [(body, rng.choice(["main", "label"]))]
    return Shape("spray bottle", [*parts, *((m, "second") for m in (head, neck, trigger, nozzle))])


def can(rng: Rng) -> Shape:
    """A tin with rims."""
    radius, height = rng.uniform(0.03, 0.055), rng.uniform(0.05, 0.16)
    parts = [(_disc(radius, 0.003, height - 0.003), "label")]
    parts += [(_disc(radius * 1.03, z, z + 0.003), "second") for z in (0, height - 0.003)]
    return Shape("can", parts, flat_top=True, upright=0.75)


def jar(rng: Rng) -> Shape:
    """A jar with a broad lid."""
    radius, height = rng.uniform(0.03, 0.055), rng.uniform(0.07, 0.16)
    neck = radius * rng.uniform(0.75, 0.95)
    body = _standing(
        [
            (radius * 0.95, 0),
            (radius, height * 0.2),
            (radius, height * 0.75),
            (neck, height * 0.92),
            (neck, height),
        ]
    )
    lid = _disc(neck * 1.08, height - 0.008, height + rng.uniform(0.006, 0.02))
    parts = [(lathe(np.concatenate([body, [(0, height)]])), rng.choice(["main", "label"]))]
    return Shape("jar", [*parts, (lid, "second")], flat_top=True)


def bowl(rng: Rng) -> Shape:
    """An open bowl."""
    radius, height = rng.uniform(0.05, 0.11), rng.uniform(0.035, 0.085)
    body = _standing(
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
    body = _standing([(radius * 0.6, 0), (radius * 0.68, height * 0.25), (radius, height)])
    return Shape(
        "plate",
        [(lathe(shell(body, 0.004), 56), rng.choice(["main", "label"]))],
        inside=(radius * 0.7, 0.006),
        upright=0.92,
    )


def tumbler(rng: Rng) -> Shape:
    """A cup without handle."""
    radius, height = rng.uniform(0.028, 0.045), rng.uniform(0.07, 0.16)
    body = _wall(rng, radius * rng.uniform(0.6, 1.0), radius, radius, height)
    return Shape("tumbler", [(lathe(shell(body, 0.003)), rng.choice(["main", "label"]))])


def goblet(rng: Rng) -> Shape:
    """A glass with foot and stem."""
    radius, height = rng.uniform(0.03, 0.05), rng.uniform(0.12, 0.21)
    foot, stem = radius * rng.uniform(0.7, 1.0), rng.uniform(0.004, 0.008)
    start = height * rng.uniform(0.35, 0.55)
    bowl_part = curve(
        [
            (stem, start),
            (radius, start + 0.45 * (height - start)),
            (radius * rng.uniform(0.7, 1.1), height),
        ],
        14,
    )
    outside = np.concatenate([[(0, 0), (foot, 0), (foot, 0.003), (stem, 0.01)], bowl_part])
    inside = np.stack([np.maximum(bowl_part[:, 0] - 0.003, 0), bowl_part[:, 1] + 0.002], 1)[::-1]
    inside[0, 1] = height
    return Shape(
        "goblet",
        [(lathe(np.concatenate([outside, inside, [(0, start + 0.002)]])), "main")],
        upright=0.85,
    )


def vase(rng: Rng) -> Shape:
    """A vase of any profile."""
    height = rng.uniform(0.1, 0.26)
    radii = rng.uniform(0.02, 0.07, size=int(rng.integers(4, 7)))
    body = _standing(list(zip(radii, np.linspace(0, height, len(radii)), strict=True)))
    parts = [(lathe(shell(body, 0.004)), rng.choice(["main", "label"]))]
    if rng.random() < 0.4:
        sides = (0, 180) if rng.random() < 0.6 else (0,)
        parts += [(_handle(rng, body, 0.45, 0.85).turned(about("z", a)), "main") for a in sides]
    return Shape("vase", parts)


def pan(rng: Rng) -> Shape:
    """A frying pan."""
    radius, height = rng.uniform(0.07, 0.12), rng.uniform(0.025, 0.05)
    body = _wall(rng, radius * 0.8, radius * 0.95, radius, height)
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
    body = _wall(rng, radius, radius, radius, height)
    ears = [_ear(radius, height * 0.75).turned(about("z", angle)) for angle in (0, 180)]
    parts: list[tuple[Mesh, str]] = [(lathe(shell(body, 0.004)), "main")]
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
    body = _wall(rng, radius * rng.uniform(0.65, 0.9), radius * 0.93, radius, height)
    bail = (
        _bail(radius, 0.0)
        .turned(about("y", float(rng.uniform(-80, 80))))
        .moved(0, 0, height - 0.008)
    )
    return Shape(
        "bucket",
        [(lathe(shell(body, 0.003)), "main"), (bail, "second")],
        inside=(radius * 0.6, 0.006),
    )


def _standing(points: list[tuple[float, float]]) -> Profile:
    """Upward profile: the axis at the bottom, then a smooth curve through (radius, height)."""
    line = curve(points, 24)
    line[:, 0] = np.maximum(line[:, 0], 0.004)
    line[:, 1] = np.maximum.accumulate(np.clip(line[:, 1], 0, None))
    return np.concatenate([[(0.0, 0.0)], line])


def _wall(rng: Rng, base: float, middle: float, top: float, height: float) -> Profile:
    edge = rng.uniform(0.002, 0.012)
    return _standing(
        [(base - min(edge, base / 3), 0), (base, edge), (middle, height / 2), (top, height)]
    )


def _disc(radius: float, low: float, high: float) -> Mesh:
    return lathe([(0, low), (radius, low), (radius, high), (0, high)])


def _handle(rng: Rng, body: Profile, low: float, high: float) -> Mesh:
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


def _bail(radius: float, height: float) -> Mesh:
    """A half ring over the opening."""
    angles = np.linspace(0, np.pi, 20)
    points = np.stack(
        [0 * angles, radius * np.cos(angles), height + 1.1 * radius * np.sin(angles)], axis=1
    )
    return tube(points, 0.0035, 8)


def _ear(radius: float, height: float) -> Mesh:
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


VESSELS = (
    mug,
    mug,
    jug,
    teapot,
    bottle,
    bottle,
    spray_bottle,
    can,
    jar,
    bowl,
    plate,
    tumbler,
    goblet,
    vase,
    pan,
    pot,
    bucket,
)
"""Drawn evenly; shapes with handles and necks stand in it more often."""
