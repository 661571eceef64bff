# SPDX-License-Identifier: Apache-2.0
"""A model whose adapted pass gives both masks: no second pass, and the masks are its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from amodal_ros.errors import ManifestError
from amodal_ros.inference.graph_runner import check_graphs
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.types import PointPrompt
from tests.fakes import FakeBackend, fake_manifest

HW = (90, 120)
BOXES = np.array([[10, 20, 50, 60], [60, 60, 110, 85], [5, 5, 40, 30]], np.float32)
MODES = [("full", "letterbox"), ("full", "stretch"), ("roi", "roi")]


def make(mode: str, geometry: str, *, one_pass: bool = True, **options: int) -> Any:
    manifest = fake_manifest(mode, geometry, one_pass=one_pass)
    return AmodalPredictor(manifest, FakeBackend(manifest), **options)


def predict(predictor: Any, **prompts: Any) -> Any:
    return predictor.predict(predictor.encode(np.full((*HW, 3), 100, np.uint8)), **prompts)


@pytest.mark.parametrize(("mode", "geometry"), MODES)
@pytest.mark.parametrize("max_batch", [2, 8])
def test_the_masks_are_those_of_two_passes(mode: str, geometry: str, max_batch: int) -> None:
    one = predict(make(mode, geometry, max_batch=max_batch), boxes_xyxy=BOXES)
    two = predict(make(mode, geometry, one_pass=False), boxes_xyxy=BOXES)
    assert np.array_equal(one.raw_amodal_masks, two.raw_amodal_masks)
    assert np.array_equal(one.visible_masks, two.visible_masks)
    assert one.visible_masks.any(axis=(1, 2)).all()


@pytest.mark.parametrize(("mode", "geometry"), MODES)
def test_no_row_is_run_with_gain_0(mode: str, geometry: str) -> None:
    predictor = make(mode, geometry)
    found = predict(predictor, boxes_xyxy=BOXES)
    assert predictor.backend.graphs_run() == ["prefix", "suffix", "decoder"]
    for graph in (1, 2):
        assert predictor.backend.calls[graph][1]["adapter_gain"].tolist() == [1, 1, 1]
    assert len(found.features.values) == 3


@pytest.mark.parametrize(("mode", "geometry"), MODES)
def test_points_alone_find_their_box_in_the_base_model(mode: str, geometry: str) -> None:
    points = [PointPrompt.from_points([[30, 40]]), PointPrompt.from_points([[80, 70]])]
    predictor = make(mode, geometry)
    one = predict(predictor, points=points)
    two = predict(make(mode, geometry, one_pass=False), points=points)
    assert np.array_equal(one.raw_amodal_masks, two.raw_amodal_masks)
    assert np.array_equal(one.visible_masks, two.visible_masks)
    gains = [c["adapter_gain"].tolist() for name, c in predictor.backend.calls if name == "suffix"]
    assert gains == [[0.0], [1.0, 1.0]]


def test_m_spec_without_the_gain_is_no_decoder_of_ours() -> None:
    manifest = fake_manifest(one_pass=True)
    inputs = manifest.graphs["decoder"].inputs
    (gain,) = (tensor for tensor in inputs if tensor.name == "adapter_gain")
    object.__setattr__(gain, "name", "prior_masks")
    with pytest.raises(ManifestError, match="decoder inputs"):
        check_graphs(manifest)
