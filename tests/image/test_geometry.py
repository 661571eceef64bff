# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.masks import mask_box
from amodal_ros.image.resample import threshold_logits

sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))


@st.composite
def geometries(draw: st.DrawFn) -> ResizeGeometry:
    hw, size = draw(sizes), draw(st.sampled_from([16, 37, 64]))
    kind = draw(st.sampled_from(["letterbox", "stretch", "roi"]))
    if kind == "letterbox":
        return ResizeGeometry.letterbox(hw, size)
    if kind == "stretch":
        return ResizeGeometry.stretch(hw, size)
    x, y = draw(st.floats(0, 1)) * hw[1], draw(st.floats(0, 1)) * hw[0]
    w, h = (draw(st.floats(0.5, 60)) * max(hw) / 60 for _ in range(2))
    return ResizeGeometry.roi(hw, np.array([x - w, y - h, x + w, y + h]), size)


def smooth_logits(seed: int, size: int, offset: float) -> np.ndarray:
    coarse = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, 1, 4, 4)))
    fine = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic")
    return fine.numpy().astype(np.float32) + np.float32(offset)


def test_letterbox_sizes_are_those_of_segment_anything() -> None:
    from segment_anything.utils.transforms import ResizeLongestSide

    for hw in [(720, 1280), (1280, 720), (375, 500), (3, 1023), (1024, 1024), (481, 641), (7, 5)]:
        expected = ResizeLongestSide.get_preprocess_shape(*hw, 1024)
        assert ResizeGeometry.letterbox(hw, 1024).content_hw == expected


def test_letterbox_keeps_at_least_a_pixel() -> None:
    assert ResizeGeometry.letterbox((1, 5000), 64).content_hw == (1, 64)


def test_points_scale_as_in_segment_anything() -> None:
    from segment_anything.utils.transforms import ResizeLongestSide

    hw = (481, 641)
    points = np.array([[0, 0], [641, 481], [100.5, 33.25]])
    expected = ResizeLongestSide(1024).apply_coords(points, hw)
    got = ResizeGeometry.letterbox(hw, 1024).points_to_input(points)
    assert got == pytest.approx(expected, abs=1e-3)


def test_stretch_scales_axes_apart() -> None:
    geometry = ResizeGeometry.stretch((50, 200), 100)
    assert geometry.points_to_input([[200, 50], [20, 10]]).tolist() == [[100, 100], [10, 20]]


def test_roi_is_a_square_about_the_box() -> None:
    geometry = ResizeGeometry.roi((100, 100), [10, 40, 30, 50], 80)
    assert geometry.source_xyxy == (10, 35, 30, 55)
    assert geometry.boxes_to_input([[10, 40, 30, 50]]).tolist() == [[0, 20, 80, 60]]


@given(geometries(), st.integers(0, 2**32 - 1))
def test_boxes_land_where_the_matrix_puts_them(geometry: ResizeGeometry, seed: int) -> None:
    height, width = geometry.original_hw
    boxes = np.random.default_rng(seed).random((5, 4)) * [width, height, width, height]
    matrix = geometry.matrix
    expected = boxes.reshape(-1, 2) @ matrix[:, :2].T + matrix[:, 2]
    assert geometry.boxes_to_input(boxes).reshape(-1, 2) == pytest.approx(expected, abs=1e-2)


def filled_box(
    geometry: ResizeGeometry, seed: int
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A mask (1, H, W) of the original image, and the box that it fills."""
    rng = np.random.default_rng(seed)
    height, width = geometry.original_hw
    x0, y0 = rng.integers(width), rng.integers(height)
    x1, y1 = rng.integers(x0, width) + 1, rng.integers(y0, height) + 1
    mask = np.zeros((1, height, width), bool)
    mask[0, y0:y1, x0:x1] = True
    return mask, (int(x0), int(y0), int(x1), int(y1))


@given(geometries(), st.integers(0, 2**32 - 1))
def test_mask_lands_where_its_box_does(geometry: ResizeGeometry, seed: int) -> None:
    mask, (x0, y0, x1, y1) = filled_box(geometry, seed)
    carried = geometry.masks_to_input(mask)
    assert carried.shape == (1, 1, *geometry.input_hw)
    assert set(np.unique(carried)) <= {0.0, 1.0}
    found = mask_box(carried[0, 0] > 0)
    limits = np.array([*geometry.content_hw[::-1]] * 2)
    expected = np.clip(geometry.boxes_to_input(np.array([[x0, y0, x1, y1]]))[0], 0, limits)
    if found == (0, 0, 0, 0):  # thinner than an input pixel, or outside the region
        assert ((expected[2:] - expected[:2]) <= 1).any()
    else:
        assert np.abs(expected - found).max() <= 1


@given(geometries(), st.integers(0, 2**32 - 1))
def test_full_resolution_mask_comes_back(geometry: ResizeGeometry, seed: int) -> None:
    """From original to input and back, through logits as fine as the input, within a pixel."""
    mask, (x0, y0, x1, y1) = filled_box(geometry, seed)
    logits = geometry.masks_to_input(mask) * 2 - 1
    back = mask_box(geometry.logits_to_original(logits)[0])
    left, top, right, bottom = geometry.source_xyxy
    inside = np.clip([x0, y0, x1, y1], [left, top] * 2, [right, bottom] * 2)
    if back == (0, 0, 0, 0):
        assert not (logits > 0).any() or (inside[2:] - inside[:2]).min() <= 1
    else:
        tolerance = np.maximum(1, np.ceil(1 / np.array(geometry.scale_xy)))
        assert (np.abs(inside - back) <= np.tile(tolerance, 2)).all()


@settings(max_examples=200, deadline=None)
@given(
    geometries(),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 8, 16]),
    st.sampled_from([-2.0, -1.0, 0.0, 3.0]),
    st.sampled_from([0.0, 0.5]),
)
def test_warp_of_the_region_equals_that_of_the_whole(
    geometry: ResizeGeometry, seed: int, size: int, offset: float, threshold: float
) -> None:
    logits = smooth_logits(seed, size, offset)
    rows, columns = geometry._logits_under_original(size, size)
    whole = threshold_logits(logits[0, 0], rows, columns, threshold, whole=True)
    assert np.array_equal(geometry.logits_to_original(logits, threshold)[0], whole.full())


@given(sizes, st.integers(0, 2**32 - 1), st.sampled_from([4, 16]))
def test_stretched_logits_are_interpolated_as_by_torch(
    hw: tuple[int, int], seed: int, size: int
) -> None:
    logits = smooth_logits(seed, size, 0.0)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(logits).double(), hw, mode="bilinear", align_corners=False
    )[0, 0].numpy()
    got = ResizeGeometry.stretch(hw, 64).logits_to_original(logits)[0]
    sure = np.abs(expected) > 1e-5
    assert np.array_equal(got[sure], (expected > 0)[sure])


def test_nothing_is_set_outside_a_roi() -> None:
    geometry = ResizeGeometry.roi((40, 40), [10, 10, 20, 20], 16)
    mask = geometry.logits_to_original(np.ones((1, 1, 4, 4), np.float32))[0]
    assert mask_box(mask) == (10, 10, 20, 20)
    assert mask.sum() == 100


def test_no_objects() -> None:
    geometry = ResizeGeometry.letterbox((30, 20), 16)
    assert geometry.masks_to_input(np.zeros((0, 30, 20), bool)).shape == (0, 1, 16, 16)
    assert geometry.logits_to_original(np.zeros((0, 1, 4, 4), np.float32)).shape == (0, 30, 20)
    assert geometry.boxes_to_input(np.zeros((0, 4))).shape == (0, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g.masks_to_input(np.zeros((1, 3, 4))), "expected a bool array"),
        (lambda g: g.masks_to_input(np.zeros((1, 3, 5), bool)), r"shape \(any, 3, 4\)"),
        (lambda g: g.logits_to_original(np.zeros((1, 4, 4), np.float32)), "expected a float32"),
        (lambda g: g.logits_to_original(np.zeros((1, 1, 4, 4))), "got float64 array"),
        (lambda g: ResizeGeometry.letterbox((0, 4), 8), "both positive"),
        (lambda g: ResizeGeometry.roi((3, 4), [1, 1, 1, 2], 8), "zero area"),
        (lambda g: ResizeGeometry.roi((3, 4), [-1e6, 0, 1e6, 2], 8), "at most 8 times"),
        (lambda g: ResizeGeometry((3, 4), (0, 0, 4, 3), (9, 9), (8, 8)), "at most input_hw"),
        (lambda g: ResizeGeometry((3, 4), (4, 0, 4, 3), (8, 8), (8, 8)), "expected x0 < x1"),
    ],
)
def test_wrong_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call(ResizeGeometry.letterbox((3, 4), 8))
