# SPDX-License-Identifier: Apache-2.0
"""What the predictor refuses, and what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError, ManifestError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.loading import load_predictor
from amodal_ros.model_folder.manifest import parse_manifest
from amodal_ros.types import PointPrompt
from tests.fakes import FakeBackend, manifest_content
from tests.inference.test_predictor import BOXES, HW, MODES, encoded, make


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"boxes_xyxy": [[1, 1, 5, 5], [np.nan, 1, 2, 2]]},
            r"boxes_xyxy\[1\]: not finite: got \[nan",
        ),
        ({"boxes_xyxy": [[5, 1, 1, 5]]}, r"boxes_xyxy\[0\]: inverted"),
        ({"boxes_xyxy": [[200, 1, 210, 5]]}, r"\[0\]: outside: got .* image of 120x90"),
        ({"boxes_xyxy": [1, 2, 3, 4]}, r"expected numbers of shape \(N, 4\)"),
        ({}, "boxes_xyxy, points: expected at least one"),
        ({"boxes_xyxy": BOXES, "prior_masks": [None]}, "prior_masks: expected 2 entries, got 1"),
        ({"boxes_xyxy": BOXES, "tight": [True]}, r"tight: expected 2 entries, got \(1,\)"),
        (
            {"boxes_xyxy": BOXES, "prior_masks": [None, np.zeros((9, 9), bool)]},
            r"prior_masks\[1\]: expected a bool array of shape \(90, 120\), got bool array",
        ),
        (
            {"boxes_xyxy": BOXES, "prior_masks": [np.ones(HW, np.uint8), None]},
            r"prior_masks\[0\]: expected a bool array .* got uint8",
        ),
        (
            {"boxes_xyxy": BOXES, "prior_masks": [np.zeros(HW, bool), None]},
            r"prior_masks\[0\]: expected at least one pixel",
        ),
        ({"points": [None]}, r"points\[0\]: expected a PointPrompt, got NoneType"),
        ({"boxes_xyxy": BOXES, "points": [None]}, "points: expected 2 entries, got 1"),
        (
            {"points": [PointPrompt.from_points([[130, 5]])]},
            r"points\[0\]: expected points within the image of 120x90, got \(130.0, 5.0\)",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, message: str) -> None:
    predictor = make()
    with pytest.raises(InvalidInputError, match=message):
        predictor.predict(encoded(predictor), **arguments)


@pytest.mark.parametrize(
    "image", [np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), None]
)
def test_wrong_images_are_refused(image: Any) -> None:
    for mode, geometry in MODES:
        with pytest.raises(InvalidInputError, match="image_rgb"):
            make(mode, geometry).encode(image)


def test_wrong_options_are_refused(tmp_path) -> None:
    with pytest.raises(InvalidInputError, match="max_batch: expected at least 1, got 0"):
        make(max_batch=0)
    with pytest.raises(ManifestError, match="no such file"):
        load_predictor(tmp_path)


@pytest.mark.parametrize(
    ("graph", "side", "name", "message"),
    [
        ("prefix", "inputs", "picture", r"prefix inputs: expected \['image'\], got \['picture'\]"),
        ("suffix", "outputs", "codes", "suffix outputs: expected"),
        ("decoder", "outputs", "masks", "decoder outputs: expected"),
    ],
)
def test_graphs_with_other_tensors_are_refused(
    graph: str, side: str, name: str, message: str, tmp_path
) -> None:
    content = manifest_content()
    content["graphs"][graph][side][0]["name"] = name
    manifest = parse_manifest(content, tmp_path)
    with pytest.raises(ManifestError, match=message):
        AmodalPredictor(manifest, FakeBackend(manifest))
