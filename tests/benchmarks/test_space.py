# SPDX-License-Identifier: Apache-2.0
"""The 3D benchmark's judgement: boxes that are right, off, or missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from amodal_ros.depth.box import ObjectBox
from benchmarks.space.__main__ import Row, summary, table
from benchmarks.space.scenes import TrueBox, noisy, upright_bounds
from benchmarks.space.scores import score

TRUE = TrueBox(np.array([0.3, -0.2, 0.05]), np.array([0.2, 0.1, 0.1]), math.radians(30))


UP_M = np.array([0.0, 0.0, 0.05])


def box(centre=TRUE.centre, size=TRUE.size, degrees=30.0, sigma_m=0.01) -> ObjectBox:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return ObjectBox(np.array(centre), np.array(size), turn, np.eye(6) * sigma_m**2)


def test_the_true_box_has_no_error():
    for found in (box(), box(size=(0.1, 0.2, 0.1), degrees=-60.0)):
        judged = score(found, TRUE)
        assert (judged.centre_m, judged.covered) == (0, True)
        assert judged.size_m == pytest.approx(0, abs=1e-12)
        assert judged.iou == pytest.approx(1, abs=1e-3)


def test_errors_are_in_metres():
    up = score(box(centre=TRUE.centre + UP_M), TRUE)
    assert up.centre_m == pytest.approx(0.05)
    assert up.iou == pytest.approx(1 / 3, abs=1e-3)
    assert not up.covered
    assert score(box(centre=TRUE.centre + UP_M, sigma_m=0.05), TRUE).covered
    assert score(box(size=(0.2, 0.1, 0.16)), TRUE).size_m == pytest.approx(0.02)
    assert score(box(centre=TRUE.centre + 1), TRUE).iou == 0.0


def test_upright_bounds():
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    cosine, sine = math.cos(TRUE.angle), math.sin(TRUE.angle)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    found = upright_bounds((corners * TRUE.size) @ turn.T + TRUE.centre)
    np.testing.assert_allclose(found.centre, TRUE.centre, atol=1e-6)
    np.testing.assert_allclose(found.size, TRUE.size, atol=1e-6)
    assert math.sin(found.angle - TRUE.angle) == pytest.approx(0, abs=1e-6)


def test_depth_is_as_noisy_as_a_cameras_and_unknown_at_edges():
    depth = np.full((100, 100), 1.0, np.float32)
    depth[:, 50:] = 2.0
    measured = noisy(depth, np.random.default_rng(0))
    assert np.isnan(measured[:, 49:51]).all()
    assert not np.isnan(measured[:, :49]).any()
    assert np.nanstd(measured[:, :49]) == pytest.approx(0.0015, rel=0.1)
    assert np.nanstd(measured[:, 51:]) == pytest.approx(0.006, rel=0.1)


def test_the_summary_has_a_bucket_for_each_share_hidden():
    good, bad = score(box(), TRUE), score(box(centre=TRUE.centre + UP_M), TRUE)
    rows = [Row(0.0, {"ours": good}), Row(0.7, {"ours": bad}), Row(1.0, {"ours": None})]
    found = summary(rows)
    assert list(found) == ["all", "0% to 5% hidden", "60% to 100% hidden"]
    assert found["all"]["objects"] == 3
    assert found["60% to 100% hidden"]["ours"]["without_box"] == 1
    assert found["60% to 100% hidden"]["ours"]["centre_mm_median"] == 50.0
    lines = table({"true masks": found})
    assert lines[2].startswith("| true masks | all (3) | ours | 25.0 (45) |")
