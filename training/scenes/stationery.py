# SPDX-License-Identifier: Apache-2.0
"""Slender things of a desk and a bathroom: pens, rulers, brushes, tubes, remote controls."""

from __future__ import annotations

import numpy as np

from training.scenes.meshes import (
    Rng,
    box,
    curve,
    extrude,
    lathe,
    loft,
    rod,
    superquadric,
    tube,
)
from training.scenes.props import Parts, Shape


def pen(rng: Rng) -> Shape:
    """A ballpoint or fountain pen, capped or not, with a clip."""
    length, radius = rng.uniform(0.12, 0.155), rng.uniform(0.004, 0.0065)
    cap = length * rng.uniform(0.3, 0.45)
    tip = rng.uniform(0.006, 0.02)
    parts: Parts = [
        (rod([(0, radius * 0.8), (0.004, radius), (length - cap, radius)]), "main"),
        (
            rod([(length - cap, radius * 1.1), (length - tip, radius), (length, radius * 0.25)]),
            str(rng.choice(["main", "second", "dark", "metal"])),
        ),
    ]
    if rng.random() < 0.7:
        clip = box((0.035, 0.003, 0.0012), (0.02, 0, radius * 1.35))
        parts += [
            (clip, "metal"),
            (box((0.004, 0.003, radius), (0.004, 0, radius * 0.9)), "metal"),
        ]
    if rng.random() < 0.4:
        parts.append((rod([(-0.008, radius * 0.5), (0.001, radius * 0.5)], 12), "second"))
    return Shape("pen", parts, upright=0.0)


def marker(rng: Rng) -> Shape:
    """A thick felt pen with its cap on, or without."""
    length, radius = rng.uniform(0.1, 0.14), rng.uniform(0.007, 0.011)
    seam = length * rng.uniform(0.55, 0.7)
    body = rod([(0, radius * 0.85), (0.003, radius), (seam, radius)])
    parts: Parts = [(body, str(rng.choice(["main", "label"])))]
    if rng.random() < 0.75:
        cap = rod([(seam, radius * 1.12), (length - 0.006, radius), (length, radius * 0.7)])
        parts.append((cap, "second"))
    else:
        neck = rod([(seam, radius * 0.7), (seam + 0.012, radius * 0.6), (seam + 0.02, 0.003)])
        parts += [
            (neck, "dark"),
            (rod([(seam + 0.02, 0.0025), (seam + 0.028, 0.001)], 10), "dark"),
        ]
    return Shape("marker", parts, upright=0.0)


def pencil(rng: Rng) -> Shape:
    """A pencil of six sides, sharpened, some with a rubber."""
    length, radius, point = rng.uniform(0.07, 0.19), rng.uniform(0.0034, 0.0045), 0.018
    parts: Parts = [
        (rod([(0, radius), (length, radius)], 6), "main"),
        (rod([(length, radius * 0.97), (length + point, radius * 0.25)], 12), "wood"),
        (rod([(length + point * 0.98, radius * 0.27), (length + point + 0.004, 1e-4)], 8), "dark"),
    ]
    if rng.random() < 0.5:
        parts += [
            (rod([(-0.012, radius * 1.05), (0.002, radius * 1.05)], 14), "metal"),
            (rod([(-0.022, radius * 0.9), (-0.011, radius)], 14), "second"),
        ]
    return Shape("pencil", parts, upright=0.0)


def ruler(rng: Rng) -> Shape:
    """A flat or triangular ruler with marks."""
    length, width, thick = rng.uniform(0.12, 0.32), rng.uniform(0.02, 0.04), 0.0025
    if rng.random() < 0.3:
        side = length * rng.uniform(0.4, 0.6)
        frame = extrude([(0, 0), (side, 0), (0, side)], thick)
        return Shape("set square", [(frame, str(rng.choice(["main", "clear"])))], upright=0.0)
    slot = str(rng.choice(["main", "wood", "metal", "clear"]))
    parts: Parts = [(box((length, width, thick)), slot)]
    for k in range(int(length / 0.01)):
        reach = width * (0.35 if k % 5 == 0 else 0.2)
        x = -length / 2 + 0.005 + 0.01 * k
        mark = box((0.0008, reach, 0.0004), (x, (width - reach) / 2, thick / 2 + 1e-4))
        parts.append((mark, "dark"))
    return Shape("ruler", parts, upright=0.0)


def brush(rng: Rng) -> Shape:
    """Toothbrush, paint brush, bottle brush: a handle with bristles."""
    length, radius = rng.uniform(0.12, 0.2), rng.uniform(0.0035, 0.007)
    waist = rng.uniform(0.55, 0.8)
    grip = [(0, 0, 0), (length * 0.3, 0, rng.uniform(-0.004, 0.004)), (length * 0.7, 0, 0)]
    swell = np.interp(np.linspace(0, 1, 14), [0, 0.3, 0.8, 1], [0.9, 1.3, waist, waist])
    handle = tube(curve([*grip, (length, 0, 0)], 14), radius * swell, 10, flatten=0.7)
    parts: Parts = [(handle, str(rng.choice(["main", "wood", "clear"])))]
    kind = rng.integers(3)
    if kind == 0:
        head = box((0.026, 0.01, 0.004), (length + 0.012, 0, 0))
        parts += [
            (head, "main"),
            (box((0.024, 0.009, 0.011), (length + 0.012, 0, 0.0075)), "paper"),
        ]
    elif kind == 1:
        width = rng.uniform(0.008, 0.04)
        parts += [
            (box((0.022, width, 0.008), (length + 0.008, 0, 0)), "metal"),
            (
                superquadric((0.06, width * 1.1, 0.01), 0.6, 0.6).moved(length + 0.03, 0, 0),
                "second",
            ),
        ]
    else:
        thick = rng.uniform(0.012, 0.028)
        ends = [(length, thick * 0.5), (length + 0.01, thick), (length + 0.07, thick)]
        parts.append((rod([*ends, (length + 0.08, thick * 0.4)]), "second"))
    return Shape("brush", parts, upright=0.0)


def squeeze_tube(rng: Rng) -> Shape:
    """Toothpaste, cream or glue: round at the cap, flat at the fold."""
    length, radius = rng.uniform(0.07, 0.17), rng.uniform(0.011, 0.022)
    along = np.linspace(0, 1, 12)[:, None]
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)[None]
    wide = radius * (1 + 0.5 * along**1.3)
    high = radius * np.maximum(1 - along**1.2 * rng.uniform(0.85, 0.97), 0.06)
    rings = np.broadcast_arrays(along * length, wide * np.cos(angle), high * np.sin(angle))
    body = loft(np.stack(rings, axis=2))
    cap = rod([(-0.02, radius * 0.45), (-0.004, radius * 0.55), (0.001, radius * 0.8)])
    return Shape("tube", [(body, "label"), (cap, "second")], upright=0.0)


def stick(rng: Rng) -> Shape:
    """A glue stick, lipstick, battery, torch or roll of sweets: a short or long cylinder."""
    length, radius = rng.uniform(0.04, 0.2), rng.uniform(0.006, 0.02)
    head = length * rng.uniform(0.1, 0.4)
    flare = rng.uniform(0.8, 1.5)
    parts: Parts = [
        (rod([(0, radius * 0.95), (0.001, radius), (length, radius)]), "label"),
        (
            rod(
                [
                    (length, radius),
                    (length + 0.3 * head, radius * flare),
                    (length + head, radius * flare),
                ]
            ),
            str(rng.choice(["second", "metal", "dark"])),
        ),
    ]
    return Shape("stick", parts, upright=0.1)


def remote_control(rng: Rng) -> Shape:
    """A remote control: a long block, rounded or wedge-shaped, with rows of buttons."""
    length, width = rng.uniform(0.11, 0.22), rng.uniform(0.032, 0.055)
    thick = rng.uniform(0.012, 0.024)
    soft = rng.uniform(0.08, 0.45)
    body = superquadric((length, width, thick), soft, soft)
    parts: Parts = [(body, str(rng.choice(["dark", "dark", "main", "second"])))]
    columns, rows = int(rng.integers(2, 4)), int(rng.integers(3, 10))
    size = min(0.6 * width / columns, 0.6 * length / (rows + 2))
    round_button = lathe([(0, 0), (size / 2, 0), (size / 2.3, 0.0018), (0, 0.0018)], 10)
    block = box((size, size * 1.2, 0.0018), (0, 0, 0.0009))
    for row in range(rows):
        for column in range(columns):
            x = ((row + 0.5) / rows - 0.5) * length * 0.8
            y = ((column + 0.5) / columns - 0.5) * width * 0.8
            button = round_button if (row + column) % 3 or soft < 0.2 else block
            ink = "second" if (row * columns + column) % 5 == 0 else "paper"
            parts.append((button.moved(x, y, thick * 0.47), ink))
    return Shape("remote control", parts, upright=0.75, flat_top=False)


STATIONERY = (pen, pen, marker, marker, pencil, ruler, brush, squeeze_tube, stick, remote_control)
"""Drawn evenly."""
