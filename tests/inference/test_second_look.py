# SPDX-License-Identifier: Apache-2.0
"""An object whose mask reaches the border of its region is looked at once more, and no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.inference.second_look import cut_off, joined, wider_regions
from amodal_ros.object_features import ObjectFeatures
from amodal_ros.types import AmodalPrediction
from tests.fakes import SIZE, FakeBackend, fake_manifest

HW = (90, 120)
BOXES = np.array([[40, 30, 70, 60], [80, 20, 100, 40]], np.float32)


def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 255, (*HW, 3), dtype=np.uint8)


def answer(*boxes: tuple[int, int, int, int], regions: list[tuple[int, int, int, int]]) -> Any:
    """A first look whose masks are boxes."""
    masks = tuple(CroppedMask.filled(HW, box) for box in boxes)
    square = (SIZE, SIZE)
    places = tuple(ResizeGeometry(HW, region, square, square) for region in regions)
    features = ObjectFeatures(np.zeros((len(boxes), 1, 2, 2), np.float32), places)
    iou = np.full(len(boxes), 0.5, np.float32)
    return AmodalPrediction(HW, masks, masks, iou, {"decoder": 1.0}, features)


@pytest.mark.parametrize(
    ("box", "region", "cut"),
    [
        ((30, 30, 60, 50), (20, 10, 80, 70), False),
        ((20, 30, 60, 50), (20, 10, 80, 70), True),
        ((21, 30, 60, 50), (20, 10, 80, 70), True),  # one pixel from it
        ((22, 30, 60, 50), (20, 10, 80, 70), False),
        ((30, 40, 60, 70), (20, 10, 80, 70), True),
        ((0, 30, 30, 50), (0, 10, 60, 70), False),  # the image's own border
        ((0, 30, 30, 50), (-10, 10, 50, 70), False),
        ((80, 40, 120, 60), (70, 20, 130, 80), False),
    ],
)
def test_what_counts_as_cut_off(box: Any, region: Any, cut: bool) -> None:
    assert cut_off(answer(box, regions=[region])).tolist() == ([0] if cut else [])


def test_an_empty_mask_is_not_cut_off() -> None:
    found = answer((30, 30, 60, 50), regions=[(20, 10, 80, 70)])
    empty = AmodalPrediction(
        HW, (CroppedMask.empty(HW),), found.visible, found.predicted_iou, {}, found.features
    )
    assert not len(cut_off(empty))
    assert not len(cut_off(AmodalPrediction.empty(HW)))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((20, 30, 60, 50), (5, 2, 80, 78)),  # to the left by a quarter; up and down by an eighth
        ((30, 30, 80, 50), (20, 2, 95, 78)),
        ((20, 30, 80, 50), (12, 2, 88, 78)),
        ((20, 10, 60, 50), (5, -5, 80, 70)),
    ],
)
def test_the_second_region_is_wider_where_the_border_was_reached(box: Any, expected: Any) -> None:
    found = answer(box, regions=[(20, 10, 80, 70)])
    (region,) = wider_regions(found, np.array([0]), SIZE)
    x0, y0, x1, y1 = region.source_xyxy
    assert np.abs(np.array(region.source_xyxy) - expected).max() <= 1
    assert max(x0 - 20, y0 - 10, 80 - x1, 70 - y1) <= 0
    assert x1 - x0 == y1 - y0


def test_amodal_masks_of_the_second_look_take_the_place_of_the_first() -> None:
    region = (20, 10, 80, 70)
    first = answer((20, 30, 60, 50), (30, 30, 60, 50), regions=[region, region])
    second = answer((10, 30, 60, 50), regions=[region])
    both = joined(first, np.array([0]), second)
    assert both.raw_amodal == (second.raw_amodal[0], first.raw_amodal[1])
    assert both.visible == first.visible
    assert both.second_looks == 1
    assert first.second_looks == 0


def look(second_look: bool, prior: np.ndarray | None = None) -> tuple[AmodalPrediction, Any]:
    manifest = fake_manifest("roi", "roi", one_pass=True)
    backend = FakeBackend(manifest)
    predictor = AmodalPredictor(manifest, backend, second_look=second_look)
    found = predictor.predict(predictor.encode(image()), BOXES, [prior, None])
    return found, backend


def test_only_what_is_cut_off_is_looked_at_again_with_its_mask_as_m_spec() -> None:
    """The fake completes wherever M_spec is: a wide one reaches the border of the region."""
    prior = np.zeros(HW, bool)
    prior[25:65, 0:75] = True
    once, first = look(False, prior)
    assert once.second_looks == 0
    assert first.graphs_run() == ["prefix", "suffix", "decoder"]
    twice, second = look(True, prior)
    assert second.graphs_run() == ["prefix", "suffix", "decoder"] * 2
    assert twice.second_looks == 1
    assert {inputs["image"].shape[0] for name, inputs in second.calls[3:4]} == {1}
    assert second.calls[4][1]["prior_masks"].any()
    assert twice.raw_amodal[1].iou(once.raw_amodal[1]) == 1.0
    assert twice.visible[0].iou(once.visible[0]) == 1.0
    assert twice.features is not None
    assert twice.timings_ms.keys() == once.timings_ms.keys()


def test_without_a_cut_nothing_is_done_twice() -> None:
    found, backend = look(True)
    assert found.second_looks == 0
    assert backend.graphs_run() == ["prefix", "suffix", "decoder"]
