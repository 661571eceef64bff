# SPDX-License-Identifier: Apache-2.0
"""Slender things of a kitchen: cutlery, spatulas, ladles, whisks, chopsticks, glasses to wear."""

from __future__ import annotations

import numpy as np

from training.scenes.meshes import (
    Array,
    Mesh,
    Rng,
    about,
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

_GRIPS = ("metal", "metal", "metal", "main", "dark", "wood")


def _stem(rng: Rng, length: float, neck: float, end: float, drop: float) -> Mesh:
    """A flat handle along +x from the neck at the origin, bent as those of spoons are."""
    rise = rng.uniform(0.004, 0.014)
    path = curve(
        [(0, 0, 0), (length * 0.35, 0, rise), (length * 0.75, 0, rise), (length, 0, drop)], 14
    )
    width = np.interp(np.linspace(0, 1, 14), [0, 0.25, 0.85, 1], [neck, neck, end, end * 0.7])
    flat = tube(path, width, 8, flatten=rng.uniform(0.25, 0.6))
    return _laid_flat(flat, path)


def _laid_flat(mesh: Mesh, path: Array) -> Mesh:
    """The flattened side turned down: `tube` starts its cross-section where the path allows."""
    if np.ptp(mesh.vertices[:, 1]) >= 1.2 * 2 * float(np.abs(path[:, 1]).max() + 1e-3):
        return mesh
    return mesh.turned(about("x", 90))


def _plate(outline: Array, thick: float, bow: float) -> Mesh:
    """A plate bowed along x by `bow`, metres in the middle."""
    flat = extrude(outline, thick)
    points = flat.vertices.copy()
    low, high = points[:, 0].min(), points[:, 0].max()
    points[:, 2] += bow * (((points[:, 0] - low) / (high - low)) - 0.5) ** 2 * 4
    return Mesh(points, flat.faces, flat.uv)


def spoon(rng: Rng) -> Shape:
    """A spoon: a shallow bowl at the end of a bent handle."""
    length = rng.uniform(0.08, 0.16)
    long, wide, deep = (
        rng.uniform(0.035, 0.06),
        rng.uniform(0.022, 0.042),
        rng.uniform(0.005, 0.011),
    )
    latitude = np.linspace(0.02, 1, 8)[:, None]
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)[None]
    inner = np.stack(
        np.broadcast_arrays(
            long / 2 * (latitude * np.cos(angle) - 1),
            wide / 2 * latitude * np.sin(angle),
            deep * (latitude**2 - 1),
        ),
        axis=2,
    )
    bowl = loft(np.concatenate([inner, inner[::-1] - (0, 0, 0.0012)]))
    stem = _stem(rng, length, 0.0026, rng.uniform(0.005, 0.009), 0.0)
    grip = str(rng.choice(_GRIPS))
    cup = "metal" if grip == "dark" else grip
    return Shape("spoon", [(bowl, cup), (stem.moved(-0.002, 0, 0), grip)], upright=0.3)


def fork(rng: Rng) -> Shape:
    """A fork of three or four tines."""
    length, tines = rng.uniform(0.09, 0.14), int(rng.integers(3, 5))
    wide, palm, reach = (
        rng.uniform(0.02, 0.028),
        rng.uniform(0.014, 0.024),
        rng.uniform(0.03, 0.048),
    )
    gap = 0.35 * wide / tines
    width = (wide - gap * (tines - 1)) / tines
    outline: list[tuple[float, float]] = [(0.0, -0.003), (-palm, -wide / 2)]
    for k in range(tines):
        y = -wide / 2 + k * (width + gap)
        outline += [(-palm - reach, y + width * 0.3), (-palm - reach, y + width * 0.7)]
        outline.append((-palm, y + width))
        if k < tines - 1:
            outline.append((-palm, y + width + gap))
    outline.append((0.0, 0.003))
    head = _plate(np.array(outline), 0.0016, rng.uniform(0.002, 0.007))
    grip = str(rng.choice(_GRIPS))
    stem = _stem(rng, length, 0.0026, rng.uniform(0.004, 0.008), 0.0)
    return Shape("fork", [(head, "metal"), (stem.moved(-0.002, 0, 0.002), grip)], upright=0.3)


def knife(rng: Rng) -> Shape:
    """A table, kitchen or paring knife."""
    blade, handle = rng.uniform(0.06, 0.19), rng.uniform(0.07, 0.12)
    high = rng.uniform(0.014, 0.04)
    belly = rng.uniform(0.3, 0.9)
    outline = [(0, 0), (-blade * 0.65, 0), (-blade, high * belly), (-blade * 0.9, high), (0, high)]
    grip = superquadric((handle, rng.uniform(0.012, 0.02), high * rng.uniform(0.7, 1.0)), 0.5, 0.4)
    knife_blade = extrude(outline, 0.0018).turned(about("x", 90)).moved(0, 0.0009, -high / 2)
    slot = str(rng.choice(["dark", "dark", "wood", "metal", "main"]))
    parts: Parts = [(knife_blade, "metal"), (grip.moved(handle / 2 - 0.002, 0, 0), slot)]
    if slot == "wood":
        for x in (0.25, 0.75):
            rivet = rod([(-0.009, 0.002), (0.009, 0.002)], 8).turned(about("z", 90))
            parts.append((rivet.moved(handle * x, 0, 0), "metal"))
    return Shape("knife", parts, upright=0.0)


def spatula(rng: Rng) -> Shape:
    """A turner, slotted or not, or a wooden spoon's flat cousin."""
    length = rng.uniform(0.13, 0.22)
    wide, deep = rng.uniform(0.035, 0.075), rng.uniform(0.06, 0.1)
    head: Parts = []
    slot = str(rng.choice(["metal", "dark", "wood", "main"]))
    bars = int(rng.integers(3, 6)) if rng.random() < 0.5 else 0
    if bars:
        for y in np.linspace(-wide / 2, wide / 2, bars):
            head.append((box((deep, wide / bars * 0.55, 0.002), (-deep / 2, y, 0)), slot))
        for x in (-deep, 0.0):
            head.append((box((0.012, wide * 1.1, 0.002), (x, 0, 0)), slot))
    else:
        curve_ = [(0, -0.005), (-0.015, -wide / 2), (-deep, -wide / 2), (-deep, wide / 2)]
        head.append((extrude(np.array([*curve_, (-0.015, wide / 2), (0, 0.005)]), 0.002), slot))
    tilt = about("y", float(rng.uniform(5, 25)))
    grip = tube(
        np.linspace((-0.005, 0, 0.001), (length, 0, 0), 8), np.linspace(0.004, 0.008, 8), 10
    )
    parts: Parts = [(mesh.turned(tilt), part) for mesh, part in head]
    return Shape("spatula", [*parts, (grip, str(rng.choice(["dark", "wood", slot])))], upright=0.0)


def ladle(rng: Rng) -> Shape:
    """A deep or a flat cup on a long rod."""
    length, cup = rng.uniform(0.16, 0.26), rng.uniform(0.025, 0.04)
    outer = curve([(0.002, -cup * 0.7), (cup * 0.8, -cup * 0.4), (cup, 0.0)], 10)
    inner = np.stack([np.maximum(outer[:, 0] - 0.002, 0.0), outer[:, 1] + 0.0018], axis=1)[::-1]
    body = lathe(np.concatenate([[(0.0, outer[0, 1])], outer, inner, [(0.0, inner[-1, 1])]]), 28)
    rise = rng.uniform(0.0, 0.12)
    path = curve([(cup * 0.97, 0, -0.002), (cup * 1.3, 0, 0.02), (length, 0, 0.02 + rise)], 14)
    slot = str(rng.choice(["metal", "metal", "dark", "main"]))
    return Shape("ladle", [(body, slot), (tube(path, 0.0035, 8, flatten=1.4), slot)], upright=0.0)


def whisk(rng: Rng) -> Shape:
    """A whisk: loops of wire on a handle."""
    length, reach, wide = (
        rng.uniform(0.09, 0.13),
        rng.uniform(0.08, 0.13),
        rng.uniform(0.022, 0.036),
    )
    turn = np.linspace(-np.pi, np.pi, 26)
    loop = np.stack(
        [-reach * (0.5 + 0.5 * np.cos(turn)) ** 0.7, wide * np.sin(turn / 1.0) * 1.0, 0 * turn],
        axis=1,
    )
    wires = int(rng.integers(3, 6))
    parts: Parts = [
        (tube(loop, 0.0011, 6).turned(about("x", 180 * k / wires)), "metal") for k in range(wires)
    ]
    grip = [(0, 0.006), (length * 0.5, 0.009), (length, 0.007)]
    return Shape("whisk", [*parts, (rod(grip), str(rng.choice(_GRIPS)))], upright=0.0)


def chopsticks(rng: Rng) -> Shape:
    """A skewer, a chopstick or a straw."""
    length, radius = rng.uniform(0.15, 0.25), rng.uniform(0.0015, 0.004)
    if rng.random() < 0.4:
        bend = curve(
            [(0, 0, 0), (length * 0.7, 0, 0), (length * 0.76, 0.01, 0), (length, 0.05, 0)], 18
        )
        return Shape("straw", [(tube(bend, radius, 10), "main")], upright=0.0)
    ends = [(0, radius * 0.5), (length, radius * rng.uniform(0.9, 1.6))]
    return Shape(
        "stick", [(rod(ends, 10), str(rng.choice(["wood", "main", "metal"])))], upright=0.0
    )


def eyeglasses(rng: Rng) -> Shape:
    """Spectacles, open or folded; their panes are not drawn."""
    wide, high, arm = rng.uniform(0.044, 0.056), rng.uniform(0.03, 0.046), rng.uniform(0.1, 0.14)
    wire = rng.uniform(0.0012, 0.0028)
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    power = rng.uniform(0.55, 1.0)
    rim = np.stack(
        [
            np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power * wide / 2,
            0 * angle,
            np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power * high / 2,
        ],
        axis=1,
    )
    slot = str(rng.choice(["metal", "dark", "main"]))
    parts: Parts = []
    for side in (-1, 1):
        parts.append((tube(rim, wire, 8, closed=True).moved(side * wide * 0.62, 0, 0), slot))
        hinge, fold = side * wide * 1.14, rng.uniform(0, 12)
        path = curve([(0, 0, 0), (0, arm * 0.7, 0), (0, arm * 0.85, -0.006), (0, arm, -0.03)], 14)
        temple = tube(path, wire, 8).turned(about("z", side * fold))
        parts.append((temple.moved(hinge, 0, high * 0.3), slot))
    bridge = curve([(-wide * 0.14, 0, 0), (0, -0.003, high * 0.12), (wide * 0.14, 0, 0)], 8)
    return Shape("glasses", [*parts, (tube(bridge, wire, 8), slot)], upright=0.3)


CUTLERY = (spoon, spoon, fork, fork, knife, knife, spatula, ladle, whisk, chopsticks, eyeglasses)
"""Drawn evenly."""
