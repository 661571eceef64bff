# SPDX-License-Identifier: Apache-2.0
"""Boxes, racks, tools: what is put together of parts; every call draws other proportions."""

from __future__ import annotations

import numpy as np

from training.scenes.meshes import (
    Rng,
    about,
    arch,
    box,
    circle,
    curve,
    extrude,
    hollow,
    lathe,
    superquadric,
    tube,
)
from training.scenes.props import Parts, Shape
from training.scenes.toys import animal, blocks, car, figure, fruit, gadget, headphones


def carton(rng: Rng) -> Shape:
    """A printed box."""
    size = rng.uniform(0.03, 0.16, 3) * (1, 0.6, 1)
    parts = [(box(size, (0, 0, size[2] / 2)), "label")]
    return Shape("carton", parts, flat_top=True, upright=0.6)


def gable(rng: Rng) -> Shape:
    """A drink carton with a gabled top."""
    width, height = rng.uniform(0.05, 0.08), rng.uniform(0.1, 0.18)
    roof, ridge = width * rng.uniform(0.35, 0.6), rng.uniform(0.01, 0.02)
    outline = [
        (-width / 2, 0),
        (width / 2, 0),
        (0.003, roof),
        (0.003, roof + ridge),
        (-0.003, roof + ridge),
        (-0.003, roof),
    ]
    top = extrude(outline, width).turned(about("x", 90)).moved(0, width / 2, height)
    parts = [(box((width, width, height), (0, 0, height / 2)), "label"), (top, "main")]
    return Shape("drink carton", parts)


def book(rng: Rng) -> Shape:
    """A book, lying, the pages set back."""
    width, depth, height = rng.uniform(0.1, 0.17), rng.uniform(0.14, 0.24), rng.uniform(0.01, 0.05)
    cover = 0.0025
    parts = [
        (box((width, depth, cover), (0, 0, cover / 2)), "label"),
        (box((width, depth, cover), (0, 0, height - cover / 2)), "label"),
        (box((cover, depth, height), (-width / 2 + cover / 2, 0, height / 2)), "second"),
        (
            box((width - 0.012, depth - 0.012, height - 2 * cover), (-0.003, 0, height / 2)),
            "paper",
        ),
    ]
    return Shape("book", parts, flat_top=True, upright=0.6)


def tray(rng: Rng) -> Shape:
    """An open box: tray, basket or crate, sometimes with compartments or a handle."""
    width, depth, height = rng.uniform(0.1, 0.24), rng.uniform(0.08, 0.17), rng.uniform(0.03, 0.11)
    wall = rng.uniform(0.003, 0.008)
    parts: Parts = [(box((width, depth, wall), (0, 0, wall / 2)), "main")]
    for sign in (-1, 1):
        parts.append(
            (box((wall, depth, height), (sign * (width - wall) / 2, 0, height / 2)), "main")
        )
        parts.append(
            (box((width, wall, height), (0, sign * (depth - wall) / 2, height / 2)), "main")
        )
    cells = int(rng.integers(1, 4))
    for k in range(1, cells):
        x = (k / cells - 0.5) * width
        parts.append((box((wall, depth, height * 0.8), (x, 0, height * 0.4)), "second"))
    if rng.random() < 0.3:
        bow = arch(width / 2, height * 0.9, height * rng.uniform(0.6, 1.5), 18)
        parts.append((tube(bow, 0.005, 8), "second"))
    inside = (min(width / cells, depth) * 0.42, wall) if cells == 1 else None
    return Shape("tray", parts, inside=inside, upright=0.92)


def rack(rng: Rng) -> Shape:
    """Boards on legs: shelf, stool, small table, stand."""
    width, depth, height = rng.uniform(0.1, 0.22), rng.uniform(0.07, 0.15), rng.uniform(0.08, 0.22)
    leg, board = rng.uniform(0.005, 0.013), rng.uniform(0.005, 0.012)
    levels = np.linspace(rng.uniform(0.15, 0.8) * height, height - board, int(rng.integers(1, 4)))
    levels[-1] = height - board
    parts = [(box((width, depth, board), (0, 0, z + board / 2)), "main") for z in levels]
    for x in (-1, 1):
        for y in (-1, 1):
            place = (x * (width - leg) / 2, y * (depth - leg) / 2, height / 2)
            parts.append((box((leg, leg, height), place), "second"))
    return Shape("rack", parts, flat_top=True, upright=0.85)


def wire_stand(rng: Rng) -> Shape:
    """Bent rods in a row, as a dish or letter rack has them."""
    width, depth, height = rng.uniform(0.06, 0.13), rng.uniform(0.1, 0.2), rng.uniform(0.06, 0.13)
    rod, count = rng.uniform(0.002, 0.0045), int(rng.integers(3, 7))
    angle = np.linspace(0, np.pi, 16)
    bow = np.stack([width / 2 * np.cos(angle), 0 * angle, height * np.sin(angle) ** 0.6], axis=1)
    parts = [
        (tube(bow, rod, 8).moved(0, y, rod), "main")
        for y in np.linspace(-depth / 2, depth / 2, count)
    ]
    for x in (-width / 2, width / 2):
        parts.append(
            (tube([(x, -depth / 2, rod), (x, 0, rod), (x, depth / 2, rod)], rod, 8), "main")
        )
    return Shape("wire stand", parts, upright=0.9)


def frame(rng: Rng) -> Shape:
    """A picture frame that leans on its strut, or an empty one."""
    width, height, bar = rng.uniform(0.09, 0.18), rng.uniform(0.09, 0.2), rng.uniform(0.008, 0.025)
    parts: Parts = []
    for x, z, size in (
        (0, bar / 2, (width, 0.01, bar)),
        (0, height - bar / 2, (width, 0.01, bar)),
        (-(width - bar) / 2, height / 2, (bar, 0.01, height)),
        ((width - bar) / 2, height / 2, (bar, 0.01, height)),
    ):
        parts.append((box(size, (x, 0, z)), "main"))
    if rng.random() < 0.7:
        parts.append((box((width - bar, 0.004, height - bar), (0, 0, height / 2)), "label"))
    lean = about("x", -float(rng.uniform(8, 22)))
    parts = [(mesh.turned(lean), slot) for mesh, slot in parts]
    strut = tube(
        [(0, 0.002, height * 0.6), (0, height * 0.2, height * 0.3), (0, height * 0.4, 0.004)],
        0.004,
        8,
    )
    return Shape("frame", [*parts, (strut, "second")])


def ring(rng: Rng) -> Shape:
    """A ring: roll of tape, bracelet, wreath."""
    radius, thick = rng.uniform(0.03, 0.075), rng.uniform(0.008, 0.022)
    if rng.random() < 0.5:
        roll = hollow(radius - thick, radius, 0, rng.uniform(0.012, 0.05))
        return Shape("ring", [(roll, "label")], upright=0.6)
    wreath = tube(circle(radius, 40), thick, 14, closed=True).moved(0, 0, thick)
    return Shape("ring", [(wreath, "main")], upright=0.7)


def tool(rng: Rng) -> Shape:
    """A stick with a head: hammer, brush, screwdriver, ladle; it lies on the table."""
    length, radius = rng.uniform(0.12, 0.26), rng.uniform(0.006, 0.014)
    stick = tube(np.linspace((0, 0, 0), (length, 0, 0), 8), np.linspace(1.2, 0.8, 8) * radius)
    head = int(rng.integers(0, 4))
    if head == 0:
        size = rng.uniform(0.02, 0.03), rng.uniform(0.06, 0.11), rng.uniform(0.02, 0.032)
        end = box(size, (length, 0, 0))
    elif head == 1:
        end = superquadric((rng.uniform(0.05, 0.09), rng.uniform(0.03, 0.06), 0.018)).moved(
            length + 0.02, 0, 0
        )
    elif head == 2:
        end = tube([(length, 0, 0), (length * 1.2, 0, 0), (length * 1.5, 0, 0)], 0.003, 8)
    else:
        cup = curve([(0.0, 0.0), (0.03, 0.008), (0.04, 0.028)], 10)
        inner = np.stack([np.maximum(cup[:, 0] - 0.003, 0), cup[:, 1] + 0.0028], axis=1)[::-1]
        end = lathe(np.concatenate([cup, inner])).moved(length + 0.03, 0, -0.02)
    return Shape("tool", [(stick, rng.choice(["main", "dark"])), (end, "second")], upright=0.0)


def lamp(rng: Rng) -> Shape:
    """A foot, a stem and a shade."""
    height, foot = rng.uniform(0.16, 0.28), rng.uniform(0.03, 0.055)
    top, wide = rng.uniform(0.02, 0.045), rng.uniform(0.045, 0.08)
    start = height * rng.uniform(0.5, 0.7)
    shade = [
        (wide - 0.002, start),
        (wide, start),
        (top, height),
        (top - 0.002, height),
        (wide - 0.002, start),
    ]
    parts = [
        (
            lathe(
                [
                    (0, 0),
                    (foot, 0),
                    (foot * 0.9, 0.012),
                    (0.006, 0.02),
                    (0.006, start + 0.02),
                    (0, start + 0.02),
                ]
            ),
            "second",
        ),
        (lathe(shade), "main"),
        (
            tube(
                [
                    (-wide * 0.8, 0, start + 0.012),
                    (0, 0, start + 0.015),
                    (wide * 0.8, 0, start + 0.012),
                ],
                0.002,
                6,
            ),
            "second",
        ),
    ]
    return Shape("lamp", parts, upright=0.9)


SOLIDS = (
    carton,
    carton,
    gable,
    book,
    book,
    tray,
    rack,
    wire_stand,
    frame,
    ring,
    figure,
    tool,
    tool,
    lamp,
    car,
    animal,
    fruit,
    gadget,
    headphones,
    blocks,
)
"""Drawn evenly."""
