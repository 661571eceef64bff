# SPDX-License-Identifier: Apache-2.0
"""Tools of a workbench: screwdrivers, pliers, scissors, hammers, clamps, wrenches, tape."""

from __future__ import annotations

import numpy as np

from training.scenes.meshes import (
    Array,
    Rng,
    about,
    box,
    curve,
    disc,
    extrude,
    hollow,
    rod,
    superquadric,
    tube,
)
from training.scenes.props import Parts, Shape


def screwdriver(rng: Rng) -> Shape:
    """A shaft in a swollen, often two-coloured handle."""
    handle, shaft = rng.uniform(0.06, 0.12), rng.uniform(0.04, 0.16)
    radius, steel = rng.uniform(0.01, 0.018), rng.uniform(0.0018, 0.004)
    swell = [
        (0, 0.7),
        (0.1, 1.0),
        (0.5, rng.uniform(0.8, 1.05)),
        (0.8, 0.65),
        (0.9, 0.8),
        (1, 0.5),
    ]
    sides = int(rng.choice([6, 8, 24]))
    grip = rod([(handle * x, radius * y) for x, y in swell], sides)
    collar = rod([(handle * 0.55, radius * 1.03), (handle * 0.7, radius * 0.85)], 24)
    parts: Parts = [(grip, str(rng.choice(["main", "main", "dark", "clear"])))]
    if rng.random() < 0.5:
        parts.append((collar, "second"))
    tip = handle + shaft
    parts.append(
        (rod([(handle * 0.98, steel), (tip - 0.012, steel), (tip, steel * 0.5)], 10), "metal")
    )
    if rng.random() < 0.5:
        blade = [
            (tip - 0.012, steel),
            (tip, steel * 1.6),
            (tip, -steel * 1.6),
            (tip - 0.012, -steel),
        ]
        parts.append((extrude(blade, 0.0012).moved(0, 0, -0.0006), "metal"))
    return Shape("screwdriver", parts, upright=0.0)


def pliers(rng: Rng) -> Shape:
    """Two levers about a rivet, open by some degrees: pliers, cutters, pincers."""
    jaw, grip = rng.uniform(0.03, 0.07), rng.uniform(0.09, 0.15)
    head, steel = rng.uniform(0.009, 0.014), rng.uniform(0.005, 0.008)
    nose, bend = rng.uniform(0.15, 0.8), rng.uniform(0.014, 0.025)
    slot = str(rng.choice(["main", "main", "dark", "second"]))
    opening = float(rng.choice([rng.uniform(0, 6), rng.uniform(6, 18)]))
    parts: Parts = []
    for side in (1, -1):
        outline = [
            (-0.012, -head * 0.4),
            (-0.012, head),
            (0.012, head),
            (jaw, head * nose * 0.6),
            (jaw, 0.0003),
        ]
        jaw_plate = extrude(np.array([*outline, (0.012, 0.0003)]) * (1, side), steel)
        line = curve(
            [
                (-0.008, 0, 0),
                (-grip * 0.25, -bend * side, 0),
                (-grip, -bend * side * rng.uniform(0.6, 1.0), 0),
            ],
            16,
        )
        lever = tube(
            line, np.interp(np.linspace(0, 1, 16), [0, 0.3, 1], [0.005, 0.006, 0.0065]), 10, 0.8
        )
        turn = about("z", side * opening / 2)
        parts.append((jaw_plate.moved(0, 0, -steel / 2).turned(turn), "metal"))
        parts.append((lever.turned(turn), slot))
    rivet = disc(0.006, -steel * 0.8, steel * 0.8, 16)
    return Shape("pliers", [*parts, (rivet, "metal")], upright=0.6)


def scissors(rng: Rng) -> Shape:
    """Two blades with ring handles, shut or open."""
    blade, shank = rng.uniform(0.05, 0.12), rng.uniform(0.02, 0.05)
    ring, wide = rng.uniform(0.013, 0.022), rng.uniform(0.009, 0.016)
    opening = float(rng.choice([rng.uniform(0, 5), rng.uniform(5, 50)]))
    stretch = rng.uniform(1.0, 1.8)
    slot = str(rng.choice(["main", "dark", "second", "metal"]))
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    parts: Parts = []
    for side in (1, -1):
        outline = [
            (-shank * 0.5, 0),
            (-0.01, wide * 0.55),
            (blade * 0.4, wide * 0.5),
            (blade, 0.0006),
            (blade, 0),
        ]
        edge = extrude(np.array([*outline, (0, -wide * 0.45)]) * (1, side), 0.0016)
        loop = np.stack([ring * stretch * np.cos(angle), ring * np.sin(angle), 0 * angle], axis=1)
        loop += (-shank - ring * stretch, -ring * 1.05 * side, 0)
        arm = curve(
            [(0, 0, 0), (-shank * 0.5, -0.003 * side, 0), (-shank - 0.004, -ring * 0.7 * side, 0)],
            10,
        )
        turn = about("z", side * opening / 2)
        height = 0.0009 * side
        parts += [
            (edge.moved(0, 0, height - 0.0008).turned(turn), "metal"),
            (tube(loop, rng.uniform(0.003, 0.0045), 10, closed=True).turned(turn), slot),
            (tube(arm, 0.0042, 8).turned(turn), slot),
        ]
    return Shape("scissors", parts, upright=0.7)


def hammer(rng: Rng) -> Shape:
    """A hammer or mallet; some with a claw."""
    length, radius = rng.uniform(0.18, 0.32), rng.uniform(0.009, 0.015)
    swell = np.interp(np.linspace(0, 1, 12), [0, 0.15, 0.6, 1], [1.1, 1.25, 0.85, 0.8]) * radius
    stick = tube(np.linspace((0, 0, 0), (length, 0, 0), 12), swell, 12, flatten=1.25)
    parts: Parts = [(stick, str(rng.choice(["wood", "wood", "main", "dark"])))]
    wide, thick = rng.uniform(0.035, 0.06), rng.uniform(0.010, 0.017)
    if rng.random() < 0.3:
        block = superquadric((0.045, 2 * wide, 0.045), 0.3, 0.3)
        return Shape("hammer", [*parts, (block.moved(length, 0, 0), "second")], upright=0.0)
    face = rod([(-wide, thick * 1.1), (-wide * 0.8, thick * 1.15), (-wide * 0.4, thick * 0.8)], 20)
    parts.append((face.turned(about("z", 90)).moved(length - 0.008, 0, 0), "metal"))
    parts.append((box((thick * 2, wide, thick * 1.8), (length - 0.008, 0, 0)), "metal"))
    for side in (-1, 1) if rng.random() < 0.6 else (0,):
        ends = [
            (0, wide * 0.3, 0),
            (0.004, wide * 0.9, side * 0.006),
            (-0.018, wide * 1.5, side * 0.009),
        ]
        claw = tube(curve(ends, 10), np.linspace(thick * 0.9, 0.002, 10), 8, flatten=0.5)
        parts.append((claw.moved(length - 0.008, 0, 0), "metal"))
    return Shape("hammer", parts, upright=0.0)


def clamp(rng: Rng) -> Shape:
    """A screw clamp, or a spring clamp like a large clothes peg."""
    if rng.random() < 0.5:
        reach, deep, bar = (
            rng.uniform(0.05, 0.12),
            rng.uniform(0.03, 0.06),
            rng.uniform(0.007, 0.012),
        )
        outline = np.array([
            (0, 0), (reach, 0), (reach, deep), (reach - bar, deep), (reach - bar, bar),
            (bar, bar), (bar, deep), (0, deep),
        ])  # fmt: skip
        frame = extrude(outline, bar).moved(0, 0, -bar / 2)
        shift = rng.uniform(0, reach * 0.5)
        place = deep - bar * 0.5
        screw = rod([(-reach * 0.6 + shift, 0.003), (reach * 0.35 + shift, 0.003)], 10)
        foot = rod([(reach * 0.35 + shift, 0.008), (reach * 0.35 + shift + 0.005, 0.008)], 14)
        bolt = rod([(-0.018, 0.002), (0.018, 0.002)], 8).turned(about("z", 90))
        parts: Parts = [(frame, str(rng.choice(["main", "dark", "metal"])))]
        parts += [(mesh.moved(0, place, 0), "metal") for mesh in (screw, foot)]
        parts.append((bolt.moved(-reach * 0.58 + shift, place, 0), "metal"))
        return Shape("clamp", parts, upright=0.5)
    length, wide, open_ = rng.uniform(0.06, 0.14), rng.uniform(0.009, 0.022), rng.uniform(4, 14)
    parts = []
    slot = str(rng.choice(["main", "wood", "dark"]))
    for side in (1, -1):
        outline = np.array(
            [(-length * 0.55, 0.004), (-length * 0.5, 0.012), (0, 0.009), (length * 0.45, 0.006)]
        )
        lever = extrude(np.array([*outline, (length * 0.45, 0), (0, 0.003)]) * (1, side), wide)
        parts.append((lever.moved(0, 0, -wide / 2).turned(about("z", side * open_)), slot))
    coil = hollow(0.004, 0.0065, -wide / 2, wide / 2, 16)
    return Shape("clamp", [*parts, (coil, "metal")], upright=0.5)


def wrench(rng: Rng) -> Shape:
    """A spanner: open at one end, a ring or open at the other."""
    length, mouth = rng.uniform(0.09, 0.22), rng.uniform(0.012, 0.026)
    thick, waist = rng.uniform(0.004, 0.007), mouth * rng.uniform(0.35, 0.5)
    slot = str(rng.choice(["metal", "metal", "dark"]))
    parts: Parts = [(box((length, waist, thick * 0.8), (length / 2, 0, 0)), slot)]
    for x, turn in ((0.0, 180.0), (length, 0.0)):
        if turn == 0.0 and rng.random() < 0.5:
            half = mouth * 0.95
            head = hollow(half * 0.55, half, -thick / 2, thick / 2, 24)
        else:
            head = extrude(_jaw(mouth), thick).moved(0, 0, -thick / 2)
            head = head.turned(about("z", turn + float(rng.uniform(-15, 15))))
        parts.append((head.moved(x, 0, 0), slot))
    return Shape("wrench", parts, upright=0.8)


def _jaw(mouth: float) -> Array:
    """Outline of an open-ended head about the origin, open towards +x."""
    angle = np.linspace(0.55, 2 * np.pi - 0.55, 16)
    outside = np.stack([mouth * np.cos(angle), mouth * np.sin(angle)], axis=1)
    half = mouth * 0.48
    return np.concatenate(
        [
            outside,
            [
                (mouth * 0.8, -half),
                (-mouth * 0.2, -half),
                (-mouth * 0.2, half),
                (mouth * 0.8, half),
            ],
        ]
    )


def tape_roll(rng: Rng) -> Shape:
    """A roll of adhesive tape with an open middle, or a spool with flanges."""
    outer, inner, high = rng.uniform(0.025, 0.06), rng.uniform(0.5, 0.8), rng.uniform(0.01, 0.05)
    inner *= outer
    core = inner + 0.003
    parts: Parts = [
        (hollow(core, outer, 0, high, 36), str(rng.choice(["main", "clear", "paper", "dark"]))),
        (hollow(inner, core, 0, high, 36), "second"),
    ]
    return Shape("tape", parts, upright=0.6)


def torch(rng: Rng) -> Shape:
    """A hand lamp, a power drill bit holder, a soldering iron: a stepped cylinder."""
    length, radius = rng.uniform(0.08, 0.2), rng.uniform(0.009, 0.017)
    head = radius * rng.uniform(1.1, 1.9)
    steps = [(0, radius), (length * 0.65, radius), (length * 0.78, head), (length, head)]
    parts: Parts = [(rod(steps, 28), str(rng.choice(["dark", "metal", "main"])))]
    parts.append(
        (rod([(length * 0.35, radius * 1.04), (length * 0.55, radius * 1.04)], 12), "second")
    )
    return Shape("torch", parts, upright=0.1)


HAND_TOOLS = (
    screwdriver, screwdriver, pliers, pliers, scissors, scissors, hammer, clamp, clamp, wrench,
    tape_roll, torch,
)  # fmt: skip
"""Drawn evenly."""
