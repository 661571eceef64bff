# SPDX-License-Identifier: Apache-2.0
"""What masks say of two objects, and how much each counts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.occlusion.junctions import Junctions
from amodal_ros.occlusion.pair_weights import WEIGHTS_FILE, WITNESSES, PairWeights, pair_weights
from amodal_ros.occlusion.shapes import Shape
from amodal_ros.occlusion.witnesses import Overlap, Witnesses
from tests.occlusion.drawn import HW, blob, block


def witnesses(
    *objects: tuple[np.ndarray, np.ndarray], upright: bool = True
) -> tuple[Witnesses, Witnesses]:
    """Of two objects, and of them exchanged."""
    first, second = (Shape.of(*map(CroppedMask.of, one)) for one in objects)
    junctions = Junctions([first, second])
    overlap = Overlap.of(first, second)
    return (
        Witnesses.of((first, second), (0, 1), overlap, junctions, upright),
        Witnesses.of((second, first), (1, 0), overlap.turned(), junctions, upright),
    )


def test_one_object_before_another() -> None:
    front, back = block(0, 20, 5, 35), block(10, 40, 5, 25)
    said, _ = witnesses((front, front), (back & ~front, back))
    assert said.seen == 1.0  # 200 pixels of the overlap, 600 of each object
    assert said.covers == pytest.approx(200 / 600)
    assert said.explains == 1.0
    assert said.inside == 0.0
    assert said.size == 0.0
    assert said.lies_on == 0.0
    assert said.feet == 1.0  # by 10 pixels: half of the lower height
    assert said.beside != 0.0
    assert not said.silent


def test_a_small_thing_on_a_large_one() -> None:
    plate, food = block(0, 40), block(10, 20, 10, 20)
    said, _ = witnesses((food, food), (plate, plate))
    assert said.lies_on == 1.0
    assert said.inside == pytest.approx(1 - 100 / 1200)
    assert said.size == pytest.approx(math.log(100 / 1200))
    tiny, huge = block(10, 11, 10, 11), block(0, 60, 0, 40)
    assert witnesses((huge, huge), (tiny, tiny))[0].size == 3.0


def test_exchanged_objects_turn_each_sign() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        wholes = [blob(rng, HW) for _ in range(2)]
        seen = [whole & blob(rng, HW) for whole in wholes]
        for upright in (True, False):
            said, turned = witnesses(*zip(seen, wholes, strict=True), upright=upright)
            assert list(turned) == pytest.approx([-value for value in said])


def test_without_an_upright_camera_feet_are_silent() -> None:
    low, high, hand = block(0, 30, 10, 40), block(20, 50, 0, 20), block(15, 40)
    objects = (low & ~hand, low), (high & ~hand, high)
    assert witnesses(*objects)[0].feet > 0
    turned = witnesses(*objects, upright=False)[0]
    assert turned.feet == 0
    assert turned.silent  # how large they are, and that they overlap, is no reason


def test_the_odds_are_the_weighted_sum() -> None:
    said = Witnesses(*range(1, 10))
    weights = dict.fromkeys(WITNESSES, 0.0) | {"seen": 2.0, "beside": -0.5}
    assert PairWeights.of(weights).odds_of(said) == 2 * 1 - 0.5 * 9


def test_the_weights_that_ship() -> None:
    stored = json.loads(WEIGHTS_FILE.read_text(encoding="utf-8"))["weights"]
    assert pair_weights().by_witness == tuple(stored[name] for name in WITNESSES)
    speaking = dict(zip(WITNESSES, pair_weights().by_witness, strict=True))
    for name in ("seen", "covers", "explains", "lies_on", "feet", "goes_on"):
        assert speaking[name] > 0, name


def test_unusable_weights_are_refused() -> None:
    good = dict.fromkeys(WITNESSES, 1.0)
    with pytest.raises(InvalidInputError, match=r"expected \['beside', .*got \['seen'\]"):
        PairWeights.of({"seen": 1.0})
    with pytest.raises(InvalidInputError, match="expected finite numbers"):
        PairWeights.of(good | {"feet": math.nan})
