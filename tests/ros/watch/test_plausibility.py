# SPDX-License-Identifier: Apache-2.0
"""Input that is probably wrong is told apart from input that is only unusual."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.ros.watch.plausibility import (
    SmallerFrame,
    ahead,
    depth_units,
    exposure,
    intrinsics,
    normalised_boxes,
    normalised_request,
    other_frame,
    repeated_id,
    scores_in_percent,
)

HD = (720, 1280)
# Boxes of a 1280x720 image.
SCENE = np.array([[100, 100, 300, 400], [500, 200, 700, 600], [1000, 50, 1250, 300]], float)


def test_normalised_boxes():
    text = normalised_boxes(SCENE / [1280, 720, 1280, 720], HD)
    assert "box_units:=normalised" in text
    assert "1280x720" in text
    assert normalised_boxes(SCENE, HD) is None
    assert normalised_boxes(np.zeros((0, 4)), HD) is None
    assert normalised_boxes(np.array([[0, 0, 1, 1.0]]), (2, 2)) is None


@pytest.mark.parametrize(
    ("numbers", "hw", "wrong"),
    [
        ([[0.2, 0.3, 0.6, 0.9]], HD, True),
        ([[0.2, 0.3, 0.6, 0.9]], None, True),
        ([[0.0, 0.0, 1.0, 1.0]], HD, False),  # whole numbers may be pixels
        ([[20.5, 30.0, 60.0, 80.0]], HD, False),
        ([[0.2, 0.3, 0.6, 0.9]], (2, 2), False),
    ],
)
def test_requests_of_parts(numbers, hw, wrong):
    none = np.zeros((0, 2))
    assert bool(normalised_request(np.array(numbers), none, hw)) is wrong
    assert bool(normalised_request(none, np.array(numbers)[:, :2], hw)) is wrong


@pytest.mark.parametrize(
    ("scale", "side"),
    [
        ((640 / 1280, 640 / 720), 640),  # stretched
        ((416 / 1280, 416 / 720), 416),
        ((1.0, 1.0), None),  # pixels
    ],
)
def test_boxes_of_a_detectors_smaller_input(scale, side):
    frame = SmallerFrame()
    boxes = SCENE * [*scale, *scale]
    texts = [frame.see(boxes, HD) for _ in range(10)]
    assert texts[:9] == [None] * 9
    assert (texts[9] is None) is (side is None)
    if side:
        assert f"letterbox_{side}x{side} or stretch_{side}x{side}" in texts[9]
        assert "box_units:=pixels" in texts[9]
        # One box beyond, and they are pixels.
        assert frame.see(SCENE, HD) is None
        assert frame.see(boxes, HD) is None


def test_letterboxed_boxes_of_a_smaller_input():
    frame = SmallerFrame()
    boxes = SCENE * 0.5 + [0, 140, 0, 140]
    assert "letterbox_640x640" in [frame.see(boxes, HD) for _ in range(10)][-1]


def test_one_object_on_one_side_is_no_smaller_input():
    frame = SmallerFrame()
    for step in range(100):
        assert frame.see(SCENE[:1] + step / 10, HD) is None


def test_another_image_size_starts_anew():
    frame = SmallerFrame()
    for _ in range(20):
        assert frame.see(SCENE, HD) is None
    assert frame.see(SCENE, (1080, 1920)) is None
    assert "1280x1280" not in (frame.see(SCENE, (1080, 1920)) or "")


@pytest.mark.parametrize(
    ("scores", "percent"),
    [
        ([87.0], True),
        ([87.0, 0.4], True),
        ([87.0, 0.4, 0.5], False),
        ([0.9, 0.4], False),
        ([1.0005], False),
        ([170.0], False),
        ([87.0, -1.0], False),
        ([87.0, float("nan")], True),
        ([], False),
    ],
)
def test_scores_in_percent(scores, percent):
    assert scores_in_percent(scores) is percent


def test_repeated_ids():
    assert repeated_id(["47", "47", "47"], ["", "", ""]).startswith(
        "3 boxes of one message have the id '47': the detector probably writes the class there"
    )
    assert "it is the class of a box" in repeated_id(["cup", "cup"], ["cup", "cup"])
    assert repeated_id(["1", "2", "", ""], ["cup"] * 4) is None


def test_frames():
    assert "'left'" in other_frame("boxes", "left", "right")
    assert other_frame("boxes", "/camera", "camera") is None
    assert other_frame("boxes", "", "camera") is None
    assert other_frame("boxes", "camera", "") is None


def test_stamps_ahead():
    year_s = 365 * 86400.0
    assert "365.0 days ahead" in ahead(2 * year_s, year_s, simulated=False)
    assert "ahead of this node's time (/clock" in ahead(110.0, 100.0, simulated=True)
    assert "but no /clock" in ahead(110.0, 0.0, simulated=True)
    assert ahead(101.0, 100.0, simulated=False) is None
    assert ahead(1.0, year_s, simulated=False) is None  # a bag


@pytest.mark.parametrize(("bits", "wrong"), [(10, True), (12, True), (14, False), (16, False)])
def test_pictures_of_fewer_bits_are_nearly_black(bits, wrong):
    samples = np.random.default_rng(0).integers(0, 2**bits, (120, 160, 1)) / 257
    rgb = np.repeat(samples.round().astype(np.uint8), 3, axis=2)
    text = exposure(rgb, "mono16", 16)
    assert (text is not None) is wrong
    if wrong:
        assert "image_bits:=10 or 12" in text
        assert "image_bits" not in exposure(rgb, "rgb8", 16)


def test_white_pictures():
    assert "nearly white" in exposure(np.full((90, 90, 3), 255, np.uint8), "mono16", 10)


@pytest.mark.parametrize(
    ("metres", "encoding", "wrong"),
    [
        (1.5, "16UC1", False),
        (0.0015, "16UC1", True),  # sent in metres
        (1500.0, "32FC1", True),  # sent in millimetres
        (30.0, "32FC1", False),
        (15.0, "16UC1", True),  # sent in tenths of millimetres
        (np.nan, "16UC1", False),
    ],
)
def test_depth_of_other_units(metres, encoding, wrong):
    text = depth_units(np.full((20, 20), metres, np.float32), encoding)
    assert (text is not None) is wrong
    assert not wrong or "depth_scale" in text


def test_depth_whose_unit_was_said_may_be_far():
    far = np.full((20, 20), 40.0, np.float32)
    assert depth_units(far, "16UC1", 0.001) is None
    assert "units of 1 m" in depth_units(far * 1000, "16UC1", 1.0)


@pytest.mark.parametrize(
    ("numbers", "wrong"),
    [
        ((900.0, 900.0, 640.0, 360.0), False),
        ((1.0, 1.0, 0.0, 0.0), True),
        ((0.9, 0.9, 0.5, 0.5), True),
        ((9e6, 9e6, 640.0, 360.0), True),
        ((900.0, 900.0, 9000.0, 360.0), True),
    ],
)
def test_intrinsics(numbers, wrong):
    text = intrinsics(*numbers, HD)
    assert (text is not None) is wrong
    assert not wrong or "1280x720" in text
