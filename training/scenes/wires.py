# SPDX-License-Identifier: Apache-2.0
"""Things of wire and things with holes: cables, baskets, sieves, hangers, key rings, handles."""

from __future__ import annotations

import numpy as np

from training.scenes.meshes import (
    Array,
    Rng,
    about,
    arch,
    box,
    circle,
    curve,
    extrude,
    hollow,
    superquadric,
    tube,
)
from training.scenes.props import Parts, Shape


def cable(rng: Rng) -> Shape:
    """A cable lying in loose loops or a line, with plugs."""
    radius = rng.uniform(0.0016, 0.0035)
    if rng.random() < 0.5:
        turns, wide = rng.uniform(1.2, 3.2), rng.uniform(0.03, 0.06)
        angle = np.linspace(0, 2 * np.pi * turns, int(28 * turns))
        reach = wide * (1 + 0.18 * np.sin(angle * rng.uniform(0.3, 0.9) + rng.uniform(0, 6)))
        lift = radius + 2 * radius * angle / (2 * np.pi)
        line = np.stack([reach * np.cos(angle), reach * 1.3 * np.sin(angle), lift], axis=1)
    else:
        steps = np.cumsum(rng.normal(0, 1, (6, 2)) * 0.022 + (0.03, 0), axis=0)
        line = curve(np.concatenate([steps, np.full((6, 1), radius)], axis=1), 48)
    parts: Parts = [(tube(line, radius, 8), str(rng.choice(["dark", "dark", "paper", "main"])))]
    for end, follow in ((line[0], line[1]), (line[-1], line[-2])):
        ahead = end - follow
        turn = about("z", float(np.degrees(np.arctan2(ahead[1], ahead[0]))))
        length, wide = rng.uniform(0.014, 0.03), rng.uniform(0.008, 0.013)
        plug = superquadric((length, wide, max(0.006, 2.4 * radius)), 0.4, 0.4)
        tip = box((0.01, wide * 0.7, 0.003), (length / 2 + 0.003, 0, 0))
        parts.append((plug.turned(turn).moved(*end), "dark"))
        parts.append((tip.turned(turn).moved(*end), "metal"))
    return Shape("cable", parts, upright=0.95)


def wire_basket(rng: Rng) -> Shape:
    """A basket of wire: rings one above the other on ribs, some with a handle."""
    low, high, tall = rng.uniform(0.04, 0.07), rng.uniform(0.06, 0.1), rng.uniform(0.04, 0.1)
    wire = rng.uniform(0.0012, 0.0024)
    square = rng.uniform(0.5, 1.0)
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    unit = np.stack(
        [np.sign(f) * np.abs(f) ** square for f in (np.cos(angle), np.sin(angle))]
        + [0 * angle], axis=1,
    )  # fmt: skip
    parts: Parts = []
    for share in np.linspace(0, 1, int(rng.integers(2, 5))):
        ring = unit * (low + (high - low) * share) + (0, 0, wire + tall * share)
        parts.append((tube(ring, wire * (1.6 if share == 1 else 1), 6, closed=True), "metal"))
    ribs = int(rng.integers(8, 17))
    for k in range(ribs):
        at = unit[k * 32 // ribs]
        line = np.stack(
            [at * 0 + (0, 0, wire), at * low + (0, 0, wire), at * high + (0, 0, wire + tall)]
        )
        parts.append((tube(line, wire, 6), "metal"))
    if rng.random() < 0.4:
        bow = arch(high, tall, high * rng.uniform(0.5, 1.2), 16)
        parts.append((tube(bow, wire * 1.8, 8), str(rng.choice(["metal", "wood", "dark"]))))
    slot = str(rng.choice(["metal", "dark", "main"]))
    parts = [(mesh, slot if part == "metal" else part) for mesh, part in parts]
    return Shape("wire basket", parts, inside=(low * 0.8, 2 * wire), upright=0.9)


def holed_board(rng: Rng) -> Shape:
    """A board with a grip hole or rows of slots: cutting board, grater, trivet, cooling rack."""
    wide, deep, thick = rng.uniform(0.08, 0.16), rng.uniform(0.12, 0.22), rng.uniform(0.004, 0.016)
    slot = str(rng.choice(["wood", "wood", "main", "metal"]))
    bars = int(rng.integers(4, 10))
    if rng.random() < 0.5:
        edge = rng.uniform(0.012, 0.025)
        beside, y = (-(wide + 0.07) / 4, (wide + 0.07) / 4), deep * 0.4 + edge * 0.7
        side = ((wide - 0.07) / 2, edge * 1.4, thick)
        parts: Parts = [
            (box((wide, deep * 0.8, thick), (0, 0, thick / 2)), slot),
            *((box(side, (x, y, thick / 2)), slot) for x in beside),
            (box((wide, edge, thick), (0, deep * 0.4 + edge * 1.9, thick / 2)), slot),
        ]
        return Shape("board", parts, flat_top=True, upright=0.85)
    parts = [
        (box((0.006, deep, thick), (x, 0, thick / 2)), slot)
        for x in np.linspace(-wide / 2, wide / 2, bars)
    ]
    parts += [
        (box((wide, 0.006, thick), (0, y, thick / 2)), slot) for y in (-deep / 2, 0, deep / 2)
    ]
    return Shape("grate", parts, upright=0.85)


def sieve(rng: Rng) -> Shape:
    """A sieve or a colander ladle: a ring with crossed wires and a handle."""
    radius, wire = rng.uniform(0.03, 0.07), 0.0012
    deep = radius * rng.uniform(0.25, 0.8)
    parts: Parts = [(tube(circle(radius, 32), 0.0028, 8, closed=True), "metal")]
    for offset in np.linspace(-0.8, 0.8, int(rng.integers(5, 9))):
        half = np.sqrt(1 - offset**2)
        place = np.linspace(-half, half, 9)
        line = np.stack(
            [radius * place, radius * offset + 0 * place, -deep * (1 - offset**2 - place**2)],
            axis=1,
        )
        parts += [(tube(line, wire, 5), "metal"), (tube(line[:, [1, 0, 2]], wire, 5), "metal")]
    path = [
        (radius, 0, 0),
        (radius + 0.02, 0, 0.002),
        (radius + rng.uniform(0.08, 0.15), 0, 0.004),
    ]
    grip = tube(path, [0.003, 0.005, 0.006], 10)
    return Shape(
        "sieve", [*parts, (grip, str(rng.choice(["metal", "dark", "wood"])))], upright=0.5
    )


def keys(rng: Rng) -> Shape:
    """A ring with keys and a tag."""
    ring = rng.uniform(0.011, 0.017)
    loop = circle(ring, 24) + np.array([0, 0, 0.003])
    parts: Parts = [(tube(loop, 0.0011, 8, closed=True), "metal")]
    for k in range(int(rng.integers(1, 5))):
        bow, shank = rng.uniform(0.009, 0.013), rng.uniform(0.022, 0.036)
        hole = bow * 0.4
        teeth = [(0, 0), (shank, 0), (shank, 0.003)]
        for tooth in range(4):
            x = shank * (0.95 - 0.14 * tooth)
            teeth += [(x, 0.006), (x - shank * 0.07, 0.0035)]
        blade = extrude([*teeth, (0, 0.006)], 0.002).moved(bow * 0.9, -0.003, 0)
        turn = about("z", float(rng.uniform(-40, 40)) + 80.0 * k)
        shift = turn @ np.array([ring + bow * 0.6, 0, 0.0008 * k])
        slot = str(rng.choice(["metal", "metal", "dark"]))
        for mesh, part in ((hollow(hole, bow, 0, 0.002, 20), slot), (blade, "metal")):
            parts.append((mesh.turned(turn).moved(*shift), part))
    tag = superquadric((0.045, rng.uniform(0.018, 0.03), 0.005), 0.4, 0.4)
    return Shape("keys", [*parts, (tag.moved(-ring - 0.02, 0, 0.0025), "main")], upright=0.95)


def hook(rng: Rng) -> Shape:
    """A hanger, a carabiner, a bent rod with an eye."""
    size, wire = rng.uniform(0.05, 0.12), rng.uniform(0.0018, 0.0045)
    if rng.random() < 0.5:
        angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
        loop = np.stack(
            [
                size * 0.5 * np.cos(angle),
                size * 0.28 * np.sin(angle) * (1 + 0.3 * np.cos(angle)),
                0 * angle,
            ],
            axis=1,
        )
        return Shape(
            "ring",
            [(tube(loop, wire * 1.3, 10, closed=True), str(rng.choice(["metal", "main"])))],
            upright=0.9,
        )
    line: Array = curve(
        [
            (0, 0, 0),
            (size * 0.5, 0.01, 0),
            (size, 0, 0),
            (size * 1.2, size * 0.2, 0),
            (size, size * 0.42, 0),
            (size * 0.8, size * 0.3, 0),
        ],
        30,
    )
    return Shape(
        "hook", [(tube(line, wire, 8), str(rng.choice(["metal", "dark", "main"])))], upright=0.9
    )


def earphones(rng: Rng) -> Shape:
    """Two buds on one wire."""
    steps = rng.normal(0, 0.03, (7, 2)) + np.array([0.012, 0.0])
    line = curve(np.column_stack([np.cumsum(steps, axis=0), np.full(7, 0.0016)]), 60)
    ink = str(rng.choice(["paper", "dark", "main"]))
    parts: Parts = [(tube(line, 0.0012, 6), ink)]
    for x, y, z in (line[0], line[-1]):
        bud = superquadric((0.012, 0.012, 0.012)).moved(x, y, z + 0.004)
        grip = superquadric((0.006, 0.018, 0.006)).moved(x, y + 0.008, z + 0.003)
        parts += [(bud, ink), (grip, "second")]
    return Shape("earphones", parts, upright=0.95)


WIRES = (cable, cable, wire_basket, wire_basket, holed_board, sieve, keys, hook, earphones)
"""Drawn evenly."""
