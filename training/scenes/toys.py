# SPDX-License-Identifier: Apache-2.0
"""Toys, fruit, gadgets; every call draws other proportions."""

from __future__ import annotations

import numpy as np

from training.scenes.meshes import (
    Rng,
    about,
    box,
    curve,
    disc,
    extrude,
    lathe,
    superquadric,
    tube,
)
from training.scenes.props import Parts, Shape


def figure(rng: Rng) -> Shape:
    """A thick letter or sign cut from a board, standing or lying."""
    unit, thick = rng.uniform(0.02, 0.045), rng.uniform(0.015, 0.045)
    outlines = {
        "L": [(0, 0), (3, 0), (3, 1), (1, 1), (1, 4), (0, 4)],
        "T": [(1, 0), (2, 0), (2, 3), (3, 3), (3, 4), (0, 4), (0, 3), (1, 3)],
        "U": [(0, 0), (3, 0), (3, 4), (2, 4), (2, 1), (1, 1), (1, 4), (0, 4)],
        "H": [
            (0, 0),
            (1, 0),
            (1, 1.5),
            (2, 1.5),
            (2, 0),
            (3, 0),
            (3, 4),
            (2, 4),
            (2, 2.5),
            (1, 2.5),
            (1, 4),
            (0, 4),
        ],
        "E": [
            (0, 0),
            (3, 0),
            (3, 0.8),
            (1, 0.8),
            (1, 1.6),
            (2.4, 1.6),
            (2.4, 2.4),
            (1, 2.4),
            (1, 3.2),
            (3, 3.2),
            (3, 4),
            (0, 4),
        ],
        "Z": [(0, 0), (2, 0), (2, 2), (3, 2), (3, 3), (1, 3), (1, 1), (0, 1)],
        "plus": [
            (1, 0),
            (2, 0),
            (2, 1),
            (3, 1),
            (3, 2),
            (2, 2),
            (2, 3),
            (1, 3),
            (1, 2),
            (0, 2),
            (0, 1),
            (1, 1),
        ],
    }
    outline = np.array(outlines[str(rng.choice(list(outlines)))]) * unit
    if rng.random() < 0.35:
        points, depth = int(rng.integers(4, 8)), rng.uniform(0.35, 0.7)
        angle = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False)
        reach = np.where(np.arange(2 * points) % 2 == 0, 1.0, depth) * 2 * unit
        outline = np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)
    plate = extrude(outline, thick).turned(about("x", 90))
    low = plate.vertices[:, 2].min()
    return Shape("figure", [(plate.moved(0, thick / 2, -low), "main")], upright=0.5)


def car(rng: Rng) -> Shape:
    """A toy car."""
    length, width, height = (
        rng.uniform(0.09, 0.18),
        rng.uniform(0.045, 0.075),
        rng.uniform(0.025, 0.04),
    )
    wheel = rng.uniform(0.014, 0.022)
    cabin = superquadric((length * rng.uniform(0.4, 0.65), width * 0.9, height * 1.5), 0.35, 0.35)
    parts: Parts = [
        (superquadric((length, width, height), 0.25, 0.3).moved(0, 0, wheel + height / 2), "main"),
        (
            cabin.moved(rng.uniform(-0.1, 0.1) * length, 0, wheel + height),
            rng.choice(["main", "second"]),
        ),
    ]
    tyre = disc(wheel, -0.007, 0.007, 24).turned(about("x", 90))
    for x in (-0.3, 0.3):
        for y in (-0.5, 0.5):
            parts.append((tyre.moved(x * length, y * width, wheel), "dark"))
    return Shape("toy car", parts)


def animal(rng: Rng) -> Shape:
    """A toy animal: body, head, four legs, ears, tail."""
    length, leg = rng.uniform(0.07, 0.13), rng.uniform(0.03, 0.07)
    body, head = length * rng.uniform(0.4, 0.6), length * rng.uniform(0.3, 0.5)
    neck = (length * 0.6, 0.0, leg + body * rng.uniform(0.7, 1.4))
    parts = [
        (superquadric((length, body, body)).moved(0, 0, leg + body / 2), "main"),
        (superquadric((head * 1.2, head, head)).moved(*neck), "main"),
        (
            tube(
                [(length * 0.3, 0, leg + body * 0.6), (length * 0.45, 0, leg + body * 0.7), neck],
                head * 0.3,
            ),
            "main",
        ),
    ]
    for x in (-0.32, 0.32):
        for y in (-0.28, 0.28):
            foot = [
                (x * length, y * body, 0),
                (x * length, y * body, leg),
                (x * length, y * body, leg + body / 2),
            ]
            parts.append((tube(foot, body * 0.14), "main"))
    for y in (-0.3, 0.3):
        ear = superquadric((head * 0.15, head * 0.25, head * rng.uniform(0.4, 1.2)))
        parts.append((ear.moved(neck[0] - head * 0.1, y * head, neck[2] + head * 0.6), "second"))
    tail = curve(
        [
            (-length * 0.45, 0, leg + body * 0.6),
            (-length * 0.65, 0, leg + body * 0.9),
            (-length * 0.75, 0, leg + body * rng.uniform(0.4, 1.5)),
        ],
        10,
    )
    parts.append((tube(tail, np.linspace(0.007, 0.004, 10)), "second"))
    return Shape("toy animal", parts, upright=0.85)


def fruit(rng: Rng) -> Shape:
    """Apple, pear, lemon, banana: round things, smooth or bent."""
    size = rng.uniform(0.05, 0.09)
    if rng.random() < 0.35:
        angle = np.linspace(-0.9, 0.9, 16) * rng.uniform(0.7, 1.2)
        bend = np.stack(
            [1.6 * size * np.sin(angle), 1.6 * size * (1 - np.cos(angle)), 0 * angle], 1
        )
        thick = 0.018 * np.sin(np.linspace(0.15, np.pi - 0.1, 16)) ** 0.5
        return Shape("banana", [(tube(bend, thick), "main")], upright=0.0)
    waist = rng.uniform(0.3, 1.0)
    body = curve(
        [
            (0.003, 0.004),
            (size * 0.4, 0.003),
            (size * 0.5, size * 0.4),
            (size * 0.45 * waist, size * 0.8),
            (0.004, size * rng.uniform(0.85, 1.2)),
        ],
        24,
    )
    body[:, 0] = np.maximum(body[:, 0], 0.001)
    solid = lathe(np.concatenate([[(0, body[0, 1])], body, [(0, body[-1, 1])]]))
    stalk = tube(
        [
            (0, 0, body[-1, 1] - 0.005),
            (0.002, 0, body[-1, 1] + 0.006),
            (0.005, 0, body[-1, 1] + 0.014),
        ],
        0.0015,
        6,
    )
    return Shape("fruit", [(solid, "main"), (stalk, "dark")])


def gadget(rng: Rng) -> Shape:
    """Remote control, telephone, soap, sponge: a rounded block with buttons."""
    size = np.array([rng.uniform(0.04, 0.09), rng.uniform(0.08, 0.2), rng.uniform(0.012, 0.045)])
    soft = rng.uniform(0.1, 0.5)
    parts = [
        (
            superquadric(size, soft, soft).moved(0, 0, size[2] / 2),
            rng.choice(["main", "dark", "label"]),
        )
    ]
    for k in range(int(rng.integers(0, 7))):
        y = (k / 7 - 0.4) * size[1] * 0.9
        knob = lathe([(0, 0), (0.006, 0), (0.005, 0.004), (0, 0.004)], 14)
        parts.append(
            (knob.moved(rng.choice([-0.2, 0, 0.2]) * size[0], y, size[2] * 0.93), "second")
        )
    return Shape("gadget", parts, upright=0.8, flat_top=not parts[1:])


def headphones(rng: Rng) -> Shape:
    """A bow with two cups, lying or standing."""
    radius, cup = rng.uniform(0.06, 0.085), rng.uniform(0.025, 0.04)
    angle = np.linspace(-0.15, np.pi + 0.15, 26)
    bow = np.stack(
        [radius * np.cos(angle), 0 * angle, radius * 1.15 * np.sin(angle) + cup], axis=1
    )
    parts = [(tube(bow, rng.uniform(0.004, 0.008), 10, flatten=2.0), "main")]
    for x in (-1, 1):
        pad = superquadric((0.03, 2 * cup, 2 * cup), 0.5, 0.8).moved(x * radius, 0, cup)
        parts.append((pad, "second"))
    return Shape("headphones", parts, upright=0.3)


def blocks(rng: Rng) -> Shape:
    """Two to four solids grown into one another: no name, any outline."""
    parts: Parts = []
    centre = np.zeros(3)
    for _ in range(int(rng.integers(2, 5))):
        size = rng.uniform(0.025, 0.11, 3)
        soft = rng.choice([0.1, 0.1, 0.5, 1.0], 2)
        solid = superquadric(size, *soft) if rng.random() < 0.6 else box(size)
        parts.append((solid.moved(*centre), rng.choice(["main", "main", "second", "label"])))
        side = rng.normal(size=3)
        centre = centre + side / np.linalg.norm(side) * size * 0.5
    return Shape("blocks", parts, upright=0.4)
