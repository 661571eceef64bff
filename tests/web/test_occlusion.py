# SPDX-License-Identifier: Apache-2.0
"""Who hides whom, on drawn scenes whose answer is known."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.occlusion.graph import occlusion_graph
from amodal_ros.occlusion.junctions import Junctions
from amodal_ros.occlusion.pairs import Pair
from amodal_ros.occlusion.shapes import Shape
from tests.occlusion.drawn import HW, blob, block
from tests.web.port import Port, mask


def order(
    port: Port, *objects: tuple[int, np.ndarray, np.ndarray], least: float = 0.01
) -> list[Any]:
    given = [
        {"id": number, "visible": mask(visible), "amodal": mask(amodal)}
        for number, visible, amodal in objects
    ]
    return port.call("occlusionOrder", objects=given, least=least)


def test_front_object_hides_the_overlap(port: Port) -> None:
    front, back = block(0, 20), block(10, 40)
    expected = [{"front": 1, "back": 2, "share": pytest.approx(10 / 30), "mutual": False}]
    assert order(port, (1, front, front), (2, back & ~front, back)) == expected
    assert order(port, (2, back & ~front, back), (1, front, front)) == expected


def test_three_in_a_row(port: Port) -> None:
    a, b, c = block(0, 20), block(10, 40), block(30, 50)
    found = order(port, (3, c & ~b, c), (1, a, a), (2, b & ~a, b))
    assert {(pair["front"], pair["back"]) for pair in found} == {(1, 2), (2, 3)}


def test_objects_apart_and_objects_that_claim_the_same(port: Port) -> None:
    a, b = block(0, 20), block(30, 50)
    assert order(port, (1, a, a), (2, b, b)) == []
    assert order(port, (1, a, a), (2, a, a)) == []  # equal in all: nothing is said


def test_a_seam_is_no_occlusion(port: Port) -> None:
    front, back = block(0, 20), block(19, 60, 0, 40)
    assert order(port, (1, front, front), (2, back & ~front, back), least=0.02) == []
    assert len(order(port, (1, front, front), (2, back & ~front, back), least=0.001)) == 1


def test_hidden_by_something_that_was_not_drawn(port: Port) -> None:
    """The overlap is seen of neither: no order."""
    a, b, other = block(0, 30), block(20, 50), block(20, 30)
    assert order(port, (1, a & ~other, a), (2, b & ~other, b)) == []


def test_what_lies_on_a_thing_is_smaller(port: Port) -> None:
    """Both claim the overlap."""
    plate, food = block(0, 40), block(10, 20, 10, 20)
    (pair,) = order(port, (1, plate, plate), (2, food, food))
    assert (pair["front"], pair["back"]) == (2, 1)


def test_a_spoon_in_its_cup(port: Port) -> None:
    cup, spoon = block(0, 30, 10, 30), block(10, 16, 0, 40)
    behind, before = block(10, 16, 0, 20), block(10, 16, 20, 40)
    seen = ((1, cup & ~behind, cup), (2, spoon & ~(before & cup), spoon))
    (pair,) = order(port, *seen)
    assert pair["mutual"] is True


def covered(pair: Pair) -> int:
    return pair.hidden + pair.claimed or (0 if pair.against else pair.overlap)


def test_the_page_and_the_node_have_one_rule(port: Port) -> None:
    rng = np.random.default_rng(0)
    said = 0
    for _ in range(25):
        wholes = [blob(rng, HW) for _ in range(5)]
        seen = [whole & blob(rng, HW) for whole in wholes]
        found = order(port, *((k, seen[k], wholes[k]) for k in range(5)))
        graph = occlusion_graph(*([CroppedMask.of(one) for one in all] for all in (seen, wholes)))
        expected = {
            (pair.front, pair.back): (covered(pair) / wholes[pair.back].sum(), pair)
            for pair in graph.pairs
            if pair.hides
        }
        assert {(one["front"], one["back"]) for one in found} == set(expected)
        for one in found:
            share, pair = expected[one["front"], one["back"]]
            assert one["share"] == pytest.approx(share)
            assert one["mutual"] == pair.mutual
        said += len(found)
    assert said > 50


def test_outlines_that_go_on_are_those_of_the_node(port: Port) -> None:
    rng, told = np.random.default_rng(0), 0
    for _ in range(40):
        ellipses = [np.zeros((90, 110), np.uint8) for _ in range(3)]
        for drawn in ellipses:
            centre, axes = rng.integers(20, 80, 2).tolist(), rng.integers(6, 32, 2).tolist()
            cv2.ellipse(drawn, centre, axes, float(rng.integers(180)), 0, 360, 1, -1)
        first, second, hole = (drawn.astype(bool) for drawn in ellipses)
        seen = [first & ~hole, second & ~first & (rng.random(first.shape) < 0.98)]
        masks = [CroppedMask.of(one) for one in seen]
        junctions = Junctions([Shape.of(one, one) for one in masks])
        expected = junctions.towards_first(0, 1)
        found = port.call("towardsFirst", seen=[mask(one) for one in seen])
        assert found == pytest.approx(expected, abs=1e-6)
        told += expected != 0
    assert told > 15


def test_occlusion_rate(port: Port) -> None:
    whole, seen, empty = block(0, 40), block(0, 30), np.zeros(HW, bool)
    given = [
        {"visible": mask(seen), "amodal": mask(whole)},
        {"visible": mask(empty), "amodal": mask(empty)},
    ]
    assert port.call_many("occlusionRate", given) == [0.25, 0]
