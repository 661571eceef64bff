# SPDX-License-Identifier: Apache-2.0
"""Thin and long objects of capsules, cylinders, boxes and ellipsoids, as MJCF written here.

They share nothing with the makers that training uses, which turn, sweep and extrude meshes.
Primitives collide as they look. Lengths are in millimetres until they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

Point = tuple[float, float, float]
Colour = tuple[float, float, float]
Geom = dict[str, str]

STEEL, BLACK, WHITE = (0.5, 0.51, 0.53), (0.08, 0.08, 0.09), (0.92, 0.91, 0.88)
WOOD, BRASS = (0.66, 0.46, 0.27), (0.78, 0.64, 0.33)
RED, BLUE, GREEN = (0.7, 0.13, 0.11), (0.12, 0.24, 0.55), (0.15, 0.42, 0.25)
YELLOW, TEAL, GREY = (0.88, 0.7, 0.15), (0.1, 0.45, 0.48), (0.42, 0.43, 0.45)
_DENSITY = "700"
_ROLLING = "0.8 0.01 0.004"


def _text(values: Sequence[float]) -> str:
    return " ".join(f"{value / 1000:.6f}" for value in values)


def _shape(kind: str, colour: Colour, **fields: str) -> Geom:
    rgba = " ".join(f"{value:g}" for value in (*colour, 1))
    return {"type": kind, "rgba": rgba, **fields}


def bar(start: Point, end: Point, radius: float, colour: Colour, kind: str = "capsule") -> Geom:
    """A capsule or cylinder between two points."""
    return _shape(kind, colour, fromto=_text((*start, *end)), size=_text([radius]))


def block(size: Point, centre: Point, colour: Colour, kind: str = "box", turn: float = 0) -> Geom:
    """A box or an ellipsoid of some extent, turned about z by degrees."""
    half = _text([value / 2 for value in size])
    return _shape(kind, colour, size=half, pos=_text(centre), euler=f"0 0 {turn:g}")


def line(points: Sequence[Point], radius: float, colour: Colour) -> list[Geom]:
    """Capsules from point to point."""
    return [bar(start, end, radius, colour) for start, end in pairwise(points)]


def arc(
    middle: Point, reach: tuple[float, float], degrees: tuple[float, float], count: int = 16
) -> list[Point]:
    """Points of an ellipse that lies flat."""
    angles = np.radians(np.linspace(*degrees, count))
    x, y, z = middle
    return [(x + reach[0] * float(np.cos(a)), y + reach[1] * float(np.sin(a)), z) for a in angles]


def _ballpoint() -> list[Geom]:
    return [
        bar((-68, 0, 5), (40, 0, 5), 5, BLUE),
        bar((40, 0, 5), (58, 0, 5), 4.4, STEEL, "cylinder"),
        bar((58, 0, 5), (70, 0, 5), 1.6, STEEL),
        block((38, 3, 2), (-48, 0, 11), STEEL),
        bar((-78, 0, 5), (-70, 0, 5), 2.6, STEEL, "cylinder"),
    ]


def _felt_pen() -> list[Geom]:
    return [
        bar((-60, 0, 8), (25, 0, 8), 7.6, WHITE, "cylinder"),
        bar((25, 0, 8), (62, 0, 8), 8.4, GREEN, "cylinder"),
        block((30, 3, 3), (44, 0, 17), GREEN),
    ]


def _crayon() -> list[Geom]:
    return [
        bar((-80, 0, 4), (70, 0, 4), 3.8, YELLOW, "cylinder"),
        bar((70, 0, 4), (80, 0, 4), 2.6, WOOD),
        bar((81, 0, 4), (87, 0, 4), 1.1, BLACK),
        bar((-92, 0, 4), (-81, 0, 4), 4, RED, "cylinder"),
    ]


def _teaspoon() -> list[Geom]:
    rim = [(x, y, 6 + 0.004 * (x + 72) ** 2) for x, y, _ in arc((-72, 0, 0), (20, 13), (0, 360))]
    stem = [(-54, 0, 6), (-20, 0, 9), (30, 0, 9), (72, 0, 5)]
    return [
        block((38, 25, 5), (-72, 0, 4), STEEL, "ellipsoid"),
        *line(rim, 1.4, STEEL),
        *line(stem[:3], 2.2, STEEL),
        *line(stem[2:], 3.4, STEEL),
    ]


def _table_fork() -> list[Geom]:
    tines = [bar((-92, y, 4), (-58, y, 7), 1.3, STEEL) for y in (-9, -3, 3, 9)]
    palm = [bar((-58, y, 7), (-42, 0.3 * y, 6), 2.2, STEEL) for y in (-9, -3, 3, 9)]
    return [*tines, *palm, *line([(-42, 0, 6), (0, 0, 9), (80, 0, 4)], 2.8, STEEL)]


def _bread_knife() -> list[Geom]:
    return [
        block((150, 22, 2), (-60, 0, 9), STEEL),
        bar((18, 0, 9), (110, 0, 9), 8, WOOD),
        *[bar((x, 0, 16), (x, 0, 17.5), 2.5, BRASS, "cylinder") for x in (35, 65, 95)],
    ]


def _chopstick() -> list[Geom]:
    return [bar((-110, 0, 3), (20, 0, 3.5), 2.4, RED), bar((20, 0, 3.5), (112, 0, 4), 3.5, BLACK)]


def _driver() -> list[Geom]:
    ribs = [bar((x, 0, 14), (x + 9, 0, 14), 13.2, RED, "cylinder") for x in (-84, -66, -48)]
    return [
        bar((-90, 0, 14), (-26, 0, 14), 12, BLACK),
        *ribs,
        bar((-14, 0, 14), (88, 0, 14), 2.8, STEEL),
        block((10, 8, 1.5), (92, 0, 14), STEEL),
    ]


def _long_nose_pliers() -> list[Geom]:
    sides: list[Geom] = []
    for side in (-1, 1):
        handle: list[Point] = [(0, 0, 7), (-30, 12 * side, 7), (-75, 17 * side, 7)]
        sides += line([*handle, (-112, 12 * side, 7)], 5.4, BLUE)
        sides += line([(0, 5 * side, 7), (30, 3.4 * side, 7), (62, 1.6 * side, 7)], 3, STEEL)
    return [*sides, bar((0, 0, 1), (0, 0, 13), 9, STEEL, "cylinder")]


def _shears() -> list[Geom]:
    parts: list[Geom] = []
    for side, height in ((-1, 3.0), (1, 5.2)):
        parts.append(block((92, 9, 2), (45, 6 * side, height), STEEL, turn=8 * side))
        parts += line([(0, 0, height), (-26, -9 * side, 4.5)], 3.6, GREY)
        loop = arc((-52, -19 * side, 4.5), (27, 15), (0, 360))
        parts += line(loop, 3.8, BLACK if side > 0 else GREY)
    return [*parts, bar((0, 0, 1), (0, 0, 8), 4, STEEL, "cylinder")]


def _claw_hammer() -> list[Geom]:
    claws = [
        p
        for side in (-1, 1)
        for p in line(
            [(112, -8, 14), (108, -32, 14 + 5 * side), (96, -50, 14 + 8 * side)], 4, STEEL
        )
    ]
    return [
        bar((-120, 0, 14), (-20, 0, 14), 13, TEAL),
        bar((-20, 0, 14), (105, 0, 14), 9, WOOD),
        bar((112, -14, 14), (112, 34, 14), 12, STEEL, "cylinder"),
        *claws,
    ]


def _bar_clamp() -> list[Geom]:
    return [
        block((190, 9, 5), (0, 0, 7), STEEL),
        block((16, 62, 12), (88, -28, 7), BLACK),
        block((18, 62, 12), (-10, -28, 7), BLACK),
        bar((-62, -46, 7), (60, -46, 7), 4, STEEL, "cylinder"),
        bar((-104, -46, 7), (-62, -46, 7), 9, WOOD),
        bar((60, -46, 7), (66, -46, 7), 8, STEEL, "cylinder"),
    ]


def _paste_tube() -> list[Geom]:
    body = [
        block((130 - 16 * k, 40 - 2 * k, 4 + 6 * k), (-4 + 7 * k, 0, 15), WHITE, "ellipsoid")
        for k in range(4)
    ]
    return [
        *body,
        block((5, 44, 4), (-66, 0, 15), TEAL),
        block((55, 30, 1), (2, 0, 27), TEAL),
        bar((58, 0, 15), (80, 0, 15), 10, TEAL, "cylinder"),
    ]


def _zapper() -> list[Geom]:
    keys = [
        block((8, 8, 3), (x, y, 19), RED if x > 60 and y == 0 else GREY, "ellipsoid")
        for x in range(-60, 75, 15)
        for y in (-12, 0, 12)
    ]
    return [
        block((176, 44, 18), (0, 0, 9), BLACK),
        block((30, 30, 3), (-76, 0, 18), GREY, "ellipsoid"),
        *keys,
    ]


def _spanner() -> list[Geom]:
    jaws = [
        *line(arc((-80, 0, 4), (13, 13), (40, 320)), 4, STEEL),
        *line(arc((82, 0, 4), (10, 10), (0, 360)), 3.6, STEEL),
    ]
    return [block((140, 11, 5), (0, 0, 4), STEEL), *jaws]


def _hex_key() -> list[Geom]:
    return line([(-70, 0, 3.5), (60, 0, 3.5), (66, 5, 3.5), (66, 34, 3.5)], 3, BLACK)


def _folding_rule() -> list[Geom]:
    parts = [
        block((120, 14, 3), (-50, 0, 2), YELLOW),
        block((120, 14, 3), (57, 27, 5), YELLOW, turn=30),
    ]
    return [*parts, bar((8, 1, 0), (8, 1, 8), 3, BRASS, "cylinder")]


def _dental_brush() -> list[Geom]:
    tufts = [block((6, 10, 11), (x, 0, 13), WHITE) for x in range(68, 96, 7)]
    stem: list[Point] = [(-92, 0, 6), (-30, 0, 7), (20, 0, 5), (62, 0, 6)]
    return [*line(stem, 4.4, GREEN), block((36, 11, 5), (80, 0, 6), GREEN), *tufts]


def _spectacles() -> list[Geom]:
    parts: list[Geom] = []
    for side in (-1, 1):
        parts += line(arc((0, 32 * side, 0), (17, 25), (0, 360)), 1.8, BLACK)
        parts += line([(12, 57 * side, 0), (10, 62 * side, -90), (0, 60 * side, -125)], 1.8, BLACK)
    bridge = line([(4, -8, 0), (8, 0, 1), (4, 8, 0)], 1.8, BLACK)
    return [*parts, *bridge]


def _lead() -> list[Geom]:
    angles = np.linspace(0, 5 * np.pi, 46)
    coil: list[Point] = [
        (
            float((42 + 0.5 * k) * np.cos(a)),
            float((34 + 0.4 * k) * np.sin(a)),
            3 + 2.4 * float(a) / np.pi,
        )
        for k, a in enumerate(angles)
    ]
    x, y, z = coil[-1]
    plug = [block((24, 12, 8), (x - 14, y, z), BLACK), block((12, 7, 3), (x - 31, y, z), STEEL)]
    return [*line(coil, 2.6, WHITE), *plug]


def _balloon_whisk() -> list[Geom]:
    parts: list[Geom] = [bar((-110, 0, 30), (-12, 0, 30), 9, STEEL)]
    for turn in np.radians([0, 45, 90, 135]):
        across = np.array([0, np.cos(turn), np.sin(turn)])
        wire: list[Point] = []
        for share in np.linspace(-1, 1, 13):
            x = 105 * (1 - abs(share) ** 1.6)
            side = 27 * np.sin(np.pi * share) * (1 - 0.2 * abs(share))
            point = np.array([x - 8, 0, 30]) + side * across
            wire.append((float(point[0]), float(point[1]), float(point[2])))
        parts += line(wire, 1.1, STEEL)
    return parts


def _tongs() -> list[Geom]:
    parts: list[Geom] = []
    for side in (-1, 1):
        arm: list[Point] = [(-105, 2 * side, 8), (-30, 17 * side, 8), (70, 26 * side, 8)]
        parts += line(arm, 3.2, STEEL)
        parts.append(block((34, 7, 20), (84, 25 * side, 10), RED, "ellipsoid"))
    return parts


MAKERS: dict[str, Callable[[], list[Geom]]] = {
    "ballpoint": _ballpoint,
    "felt_pen": _felt_pen,
    "crayon": _crayon,
    "teaspoon": _teaspoon,
    "table_fork": _table_fork,
    "bread_knife": _bread_knife,
    "chopstick": _chopstick,
    "driver": _driver,
    "long_nose_pliers": _long_nose_pliers,
    "shears": _shears,
    "claw_hammer": _claw_hammer,
    "bar_clamp": _bar_clamp,
    "paste_tube": _paste_tube,
    "zapper": _zapper,
    "spanner": _spanner,
    "hex_key": _hex_key,
    "folding_rule": _folding_rule,
    "dental_brush": _dental_brush,
    "spectacles": _spectacles,
    "lead": _lead,
    "balloon_whisk": _balloon_whisk,
    "tongs": _tongs,
}


def xml_path(name: str) -> str:
    """Where an object's MJCF lies, relative to the unpacked assets."""
    return f"slender/{name}/{name}.xml"


def mjcf(name: str) -> str:
    """One object as MJCF; its geoms do not roll away."""
    root = ElementTree.Element("mujoco", model=name)
    default = ElementTree.SubElement(root, "default")
    ElementTree.SubElement(
        default, "geom", density=_DENSITY, condim="6", friction=_ROLLING, solref="0.008 1"
    )
    world = ElementTree.SubElement(root, "worldbody")
    body = ElementTree.SubElement(ElementTree.SubElement(world, "body"), "body", name="object")
    for geom in MAKERS[name]():
        ElementTree.SubElement(body, "geom", geom)
    return ElementTree.tostring(root, encoding="unicode")


def write_slender(folder: Path) -> None:
    """Write all objects below the unpacked assets."""
    for name in MAKERS:
        path = folder / xml_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(mjcf(name), encoding="utf-8")
