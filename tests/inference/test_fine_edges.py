# SPDX-License-Identifier: Apache-2.0
"""Masks end at the edges of the picture where both end together, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.inference.fine_edges import fine_masks, guided_filter
from amodal_ros.inference.postprocess import masks_from_logits
from amodal_ros.inference.predictor import AmodalPredictor
from tests.fakes import FakeBackend, fake_manifest

HW = (120, 160)
SIZE, CELLS = 448, 112


def picture(thing: NDArray[np.bool_], noise: float = 3.0) -> NDArray[np.uint8]:
    """A thing of one colour on a ground of another, with a camera's noise."""
    rng = np.random.default_rng(7)
    colours = np.where(thing[..., None], (190, 120, 60), (80, 110, 140))
    return np.clip(colours + rng.normal(0, noise, (*thing.shape, 3)), 0, 255).astype(np.uint8)


def coarse(mask: NDArray[np.bool_], geometry: ResizeGeometry, grown: int = 0) -> NDArray:
    """(1, 1, s, s): logits as of a model that knows the mask to within some pixels."""
    kernel = np.ones((2 * grown + 1,) * 2, np.uint8)
    wide = cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)
    inside = geometry.masks_to_input(wide[None])[0, 0]
    small = cv2.resize(cv2.GaussianBlur(inside, (0, 0), 8), (CELLS, CELLS), interpolation=3)
    return (12 * (small - 0.5)).astype(np.float32)[None, None]


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_the_filter_is_that_of_the_paper() -> None:
    rng = np.random.default_rng(3)
    guide = cv2.GaussianBlur(rng.integers(0, 256, (20, 26, 3)).astype(np.uint8), (0, 0), 2)
    values = rng.random((20, 26)).astype(np.float32)
    radius, noise = 2, 1e-3
    found = guided_filter(guide, values, radius, noise, guide)
    # Window by window, as the paper says it, away from the border.
    colours = guide.astype(np.float64) / 255
    lines = {}
    for row in range(radius, 20 - radius):
        for column in range(radius, 26 - radius):
            part = np.s_[row - radius : row + radius + 1, column - radius : column + radius + 1]
            seen, wanted = colours[part].reshape(-1, 3), values[part].reshape(-1).astype(float)
            spread = np.cov(seen.T, bias=True) + noise * np.eye(3)
            both = (seen * wanted[:, None]).mean(axis=0) - seen.mean(axis=0) * wanted.mean()
            slope = np.linalg.solve(spread, both)
            lines[row, column] = slope, wanted.mean() - slope @ seen.mean(axis=0)
    for row in range(2 * radius, 20 - 2 * radius):
        for column in range(2 * radius, 26 - 2 * radius):
            about = [
                lines[row + down, column + across]
                for down in range(-radius, radius + 1)
                for across in range(-radius, radius + 1)
            ]
            slope = np.mean([one for one, _ in about], axis=0)
            expected = slope @ colours[row, column] + np.mean([offset for _, offset in about])
            assert found[row, column] == pytest.approx(expected, abs=1e-4)


def test_a_part_that_the_model_is_unsure_of_is_told_by_its_colour() -> None:
    """It is too wide for the filter's windows to bring it back by themselves."""
    geometry = ResizeGeometry.roi(HW, [20, 10, 120, 110], SIZE)
    thing = np.zeros(HW, bool)
    thing[40:80, 40:100] = True
    logits = coarse(thing, geometry)
    unsure = coarse(np.arange(HW[1])[None].repeat(HW[0], axis=0) < 75, geometry)
    logits = np.where((logits > 0) & (unsure < 0), np.float32(-0.5), logits)
    ((_, visible),) = fine_masks(picture(thing), [geometry], logits, logits, 0.0)
    assert iou(visible.full(), thing) > 0.95
    grey = np.full((*HW, 3), 128, np.uint8)
    ((_, visible),) = fine_masks(grey, [geometry], logits, logits, 0.0)
    assert iou(visible.full(), thing) < 0.7


@pytest.mark.parametrize("side", [100, 400])
def test_what_is_thin_comes_out_as_thin_as_it_is(side: int) -> None:
    hw = (side + 20, side + 60)
    thing = np.zeros(hw, bool)
    thing[side // 2 : side // 2 + side // 25, 30 : 30 + side - 20] = True
    geometry = ResizeGeometry.roi(hw, [20, 10, 20 + side, 10 + side], SIZE)
    logits = coarse(thing, geometry, grown=side // 100)
    (plain,) = masks_from_logits(logits, [geometry])
    ((amodal, visible),) = fine_masks(picture(thing), [geometry], logits, logits, 0.0)
    assert iou(plain.full(), thing) < 0.7
    assert iou(visible.full(), thing) > 0.8
    assert iou(amodal.full(), thing) > 0.8


def test_a_hidden_edge_stays_where_the_model_has_it() -> None:
    whole, seen = np.zeros(HW, bool), np.zeros(HW, bool)
    whole[40:80, 30:110] = True
    seen[40:80, 30:70] = True  # its right half is hidden by what has the ground's colour
    geometry = ResizeGeometry.roi(HW, [10, 5, 130, 115], SIZE)
    amodal_logits, visible_logits = coarse(whole, geometry), coarse(seen, geometry)
    (plain,) = masks_from_logits(amodal_logits, [geometry])
    ((amodal, visible),) = fine_masks(
        picture(seen), [geometry], amodal_logits, visible_logits, 0.0
    )
    assert iou(visible.full(), seen) > 0.97
    assert np.array_equal(amodal.full()[:, 90:], plain.full()[:, 90:])


def test_a_picture_without_edges_changes_little() -> None:
    thing = np.zeros(HW, bool)
    thing[30:90, 40:100] = True
    geometry = ResizeGeometry.roi(HW, [20, 10, 120, 110], SIZE)
    logits = coarse(thing, geometry)
    (plain,) = masks_from_logits(logits, [geometry])
    grey = np.full((*HW, 3), 120, np.uint8)
    ((amodal, visible),) = fine_masks(grey, [geometry], logits, logits, 0.0)
    assert iou(visible.full(), plain.full()) > 0.97
    assert iou(amodal.full(), plain.full()) > 0.97


def test_the_threshold_counts() -> None:
    thing = np.zeros(HW, bool)
    thing[30:90, 40:100] = True
    geometry = ResizeGeometry.roi(HW, [20, 10, 120, 110], SIZE)
    logits = coarse(thing, geometry)
    at_0 = fine_masks(picture(thing), [geometry], logits, logits, 0.0)[0]
    at_2 = fine_masks(picture(thing), [geometry], logits + 2, logits + 2, 2.0)[0]
    for first, second in zip(at_0, at_2, strict=True):
        assert iou(first.full(), second.full()) > 0.999


@pytest.mark.parametrize("box", [[-40, -30, 60, 70], [100, 60, 200, 160]])
def test_regions_may_leave_the_image(box: list[float]) -> None:
    thing = np.zeros(HW, bool)
    thing[0:40, 0:50] = True
    thing[90:, 130:] = True
    geometry = ResizeGeometry.roi(HW, box, SIZE)
    logits = coarse(thing, geometry)
    (plain,) = masks_from_logits(logits, [geometry])
    ((amodal, visible),) = fine_masks(picture(thing), [geometry], logits, logits, 0.0)
    assert not plain.is_empty
    assert iou(visible.full(), plain.full()) > 0.9
    assert amodal.image_hw == HW


@pytest.mark.filterwarnings("error")
def test_a_very_sure_model_overflows_nothing() -> None:
    geometry = ResizeGeometry.roi(HW, [10, 10, 60, 60], SIZE)
    logits = np.full((1, 1, CELLS, CELLS), -90, np.float32)
    logits[..., 30:80, 30:80] = 90
    ((amodal, visible),) = fine_masks(picture(np.zeros(HW, bool)), [geometry], logits, logits, 0.0)
    (plain,) = masks_from_logits(logits, [geometry])
    assert iou(visible.full(), plain.full()) > 0.9
    assert iou(amodal.full(), plain.full()) > 0.9


def test_nothing_seen_and_nothing_whole_is_empty() -> None:
    geometry = ResizeGeometry.roi(HW, [10, 10, 60, 60], SIZE)
    none = np.full((1, 1, CELLS, CELLS), -90, np.float32)
    ((amodal, visible),) = fine_masks(np.zeros((*HW, 3), np.uint8), [geometry], none, none, 0.0)
    assert amodal.is_empty
    assert visible.is_empty


@pytest.mark.parametrize(
    ("mode", "geometry", "one_pass"),
    [("roi", "roi", True), ("roi", "roi", False), ("full", "letterbox", True)],
)
def test_the_predictor_looks_for_edges_where_it_is_told_to(
    mode: str, geometry: str, one_pass: bool
) -> None:
    manifest = fake_manifest(mode, geometry, one_pass=one_pass)
    image = np.random.default_rng(5).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    found = []
    for fine in (False, True):
        predictor = AmodalPredictor(manifest, FakeBackend(manifest), fine_edges=fine)
        found.append(predictor.predict(predictor.encode(image), [[10, 20, 50, 60]]))
    same = np.array_equal(found[0].visible_masks, found[1].visible_masks)
    assert same == (mode == "full" or not one_pass)
