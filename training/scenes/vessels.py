# SPDX-License-Identifier: Apache-2.0
"""Vessels: turned on a lathe, with handles and spouts; every call draws other proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.scenes.crockery import (
    bowl,
    bucket,
    handle,
    jug,
    pan,
    plate,
    pot,
    radius_at,
    shell,
    standing,
    teapot,
    wall,
)
from training.scenes.meshes import Rng, about, box, curve, disc, lathe, tube
from training.scenes.props import Shape

Profile = NDArray[np.float64]


def mug(rng: Rng) -> Shape:
    """A cup with a handle."""
    radius, height = rng.uniform(0.033, 0.05), rng.uniform(0.07, 0.12)
    body = wall(
        rng, radius * rng.uniform(0.7, 1.0), radius * rng.uniform(0.9, 1.1), radius, height
    )
    return Shape(
        "mug",
        [
            (lathe(shell(body, 0.004)), rng.choice(["main", "label"])),
            (handle(rng, body, 0.2, 0.85), rng.choice(["main", "second"])),
        ],
        inside=(radius * 0.6, 0.006),
    )


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
    body = standing(outline)
    cap = rng.uniform(0.012, 0.03)
    middle = radius_at(body, height * shoulder * 0.5) + 0.0008
    low, high = height * shoulder * 0.2, height * shoulder * rng.uniform(0.6, 0.85)
    parts = [
        (lathe(np.concatenate([body, [(0, height)]])), "main"),
        (disc(neck * 1.15, height - 0.3 * cap, height + 0.7 * cap), "second"),
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
    flask = standing([(1, 0), (1, height * 0.55), (0.8, height * 0.75), (0.25, height)])
    body = lathe(np.concatenate([flask, [(0, height)]])).stretched(width / 2, depth / 2, 1)
    head = box((0.075, 0.022, 0.024), (0.012, 0, height + 0.03))
    neck = disc(0.013, height - 0.01, height + 0.02)
    trigger = tube(
        curve([(0.03, 0, height + 0.02), (0.04, 0, height - 0.005), (0.052, 0, height - 0.03)], 8),
        0.005,
    )
    nozzle = disc(0.007, -0.01, 0.012).turned(about("y", 90)).moved(0.055, 0, height + 0.033)
    parts = [(body, rng.choice(["main", "label"]))]
    return Shape("spray bottle", [*parts, *((m, "second") for m in (head, neck, trigger, nozzle))])


def can(rng: Rng) -> Shape:
    """A tin with rims."""
    radius, height = rng.uniform(0.03, 0.055), rng.uniform(0.05, 0.16)
    parts = [(disc(radius, 0.003, height - 0.003), "label")]
    parts += [(disc(radius * 1.03, z, z + 0.003), "second") for z in (0, height - 0.003)]
    return Shape("can", parts, flat_top=True, upright=0.75)


def jar(rng: Rng) -> Shape:
    """A jar with a broad lid."""
    radius, height = rng.uniform(0.03, 0.055), rng.uniform(0.07, 0.16)
    neck = radius * rng.uniform(0.75, 0.95)
    body = standing(
        [
            (radius * 0.95, 0),
            (radius, height * 0.2),
            (radius, height * 0.75),
            (neck, height * 0.92),
            (neck, height),
        ]
    )
    lid = disc(neck * 1.08, height - 0.008, height + rng.uniform(0.006, 0.02))
    parts = [(lathe(np.concatenate([body, [(0, height)]])), rng.choice(["main", "label"]))]
    return Shape("jar", [*parts, (lid, "second")], flat_top=True)


def tumbler(rng: Rng) -> Shape:
    """A cup without handle."""
    radius, height = rng.uniform(0.028, 0.045), rng.uniform(0.07, 0.16)
    body = wall(rng, radius * rng.uniform(0.6, 1.0), radius, radius, height)
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
    body = standing(list(zip(radii, np.linspace(0, height, len(radii)), strict=True)))
    parts = [(lathe(shell(body, 0.004)), rng.choice(["main", "label"]))]
    if rng.random() < 0.4:
        sides = (0, 180) if rng.random() < 0.6 else (0,)
        parts += [(handle(rng, body, 0.45, 0.85).turned(about("z", a)), "main") for a in sides]
    return Shape("vase", parts)


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
