# SPDX-License-Identifier: Apache-2.0
"""A checkpoint evaluated in torch, against the node's predictor over the same model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from amodal_ros.errors import CheckpointError
from amodal_ros.files import file_sha256
from amodal_ros.image.masks import mask_iou
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.modeling.base_weights import read_base_weights
from amodal_ros.modeling.checkpoint import save_checkpoint
from amodal_ros.modeling.torch_backend import FeatureLayout, TorchBackend
from amodal_ros.types import PointPrompt
from tests.fakes import fake_manifest
from tests.modeling.mobile_sam_support import SMALL, random_adapters, random_state, small_model
from training.evaluation.open_model import open_model
from training.evaluation.torch_segmenter import segmenter_of

HW = (90, 140)
BOXES = np.array([[20, 10, 90, 70], [60, 30, 130, 85]], dtype=np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.save(random_state(), folder / "mobile_sam.pt")
    base = read_base_weights(folder / "mobile_sam.pt")
    model = random_adapters(small_model(dict(base.state)))
    save_checkpoint(folder / "adapters.safetensors", model, base.identity, training={"steps": 3})
    return folder, model


@pytest.fixture(scope="module")
def segmenter(files):
    folder, _ = files
    return open_model(folder / "adapters.safetensors", base=folder / "mobile_sam.pt")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    smooth = np.random.default_rng(0).random((9, 14, 3))
    return (np.kron(smooth, np.ones((10, 10, 1))) * 255).astype(np.uint8)


def mask_prior() -> np.ndarray:
    prior = np.zeros(HW, dtype=bool)
    prior[20:80, 50:135] = True
    return prior


def torch_backend(model):
    with torch.no_grad():
        layout = FeatureLayout.of(model.prefix(torch.zeros(1, 3, SMALL, SMALL)))
    return TorchBackend(model, layout)


@pytest.mark.parametrize("priors", [[None, None], [None, mask_prior()]], ids=["box", "mask"])
def test_equals_the_predictor_with_regions(files, segmenter, image, priors):
    _, model = files
    manifest = replace(fake_manifest(), image_size=SMALL, mode="roi", roi_factor=1.8)
    predictor = AmodalPredictor(manifest, torch_backend(model))
    expected = predictor.predict(predictor.encode(image), BOXES, priors)
    own = segmenter_of(model, segmenter.description, roi_factor=1.8)
    found = own.predictor.predict(own.predictor.encode(image), BOXES, priors)
    for name in ("raw_amodal_masks", "visible_masks"):
        for a, b in zip(getattr(found, name), getattr(expected, name), strict=True):
            assert a.any()
            assert mask_iou(a, b) > 0.999


@pytest.mark.parametrize("prompt", ["boxes", "points"])
@pytest.mark.parametrize("priors", [[None, None], [None, mask_prior()]], ids=["box", "mask"])
def test_equals_the_predictor(files, segmenter, image, prompt, priors):
    _, model = files
    boxes, points = BOXES, None
    if prompt == "points":
        boxes, points = (
            None,
            [
                PointPrompt.from_points([[40, 30], [60, 50]]),
                PointPrompt.from_points([[100, 60], [80, 50]]),
            ],
        )
    manifest = replace(fake_manifest(), image_size=SMALL)
    predictor = AmodalPredictor(manifest, torch_backend(model))
    expected = predictor.predict(predictor.encode(image), boxes, priors, points=points)
    found = segmenter.predictor.predict(
        segmenter.predictor.encode(image), boxes, priors, points=points
    )
    for name in ("raw_amodal_masks", "visible_masks"):
        for a, b in zip(getattr(found, name), getattr(expected, name), strict=True):
            assert a.any()
            assert mask_iou(a, b) > 0.999
    np.testing.assert_allclose(found.predicted_iou, expected.predicted_iou, atol=1e-4)
    assert any(
        mask_iou(a, b) < 0.99
        for a, b in zip(found.raw_amodal_masks, found.visible_masks, strict=True)
    ), "the adapters must matter in this test"


def test_gain_zero_gives_the_base_model(files, segmenter, image):
    _, model = files
    description = replace(segmenter.description, adapter_gain=0.0)
    ours = segmenter_of(model, description)
    found = ours.predictor.predict(ours.predictor.encode(image), BOXES, [None, None])
    np.testing.assert_array_equal(found.raw_amodal_masks, found.visible_masks)


def test_description_and_no_objects(files, segmenter, image):
    folder, _ = files
    description = segmenter.description
    assert description.kind == "torch"
    assert description.trained
    assert description.sha256 == file_sha256(folder / "adapters.safetensors")
    assert description.details["training"] == {"steps": 3}
    empty = np.zeros((0, 4), dtype=np.float32)
    assert len(segmenter.predictor.predict(segmenter.predictor.encode(image), empty, [])) == 0


def test_a_model_that_was_trained_without_m_spec_is_given_none(files, segmenter, image, tmp_path):
    folder, model = files
    base = read_base_weights(folder / "mobile_sam.pt")
    training = {"config": {"data": {"prior": {"kind": "none"}}}}
    path = tmp_path / "adapters.safetensors"
    save_checkpoint(path, model, base.identity, training=training)
    without = open_model(path, base=folder / "mobile_sam.pt")
    for one, is_blank in ((segmenter, False), (without, True)):
        found = [
            one.predictor.predict(
                one.predictor.encode(image), BOXES, [prior, prior]
            ).raw_amodal_masks
            for prior in (None, mask_prior())
        ]
        assert np.array_equal(*found) == is_blank


def test_another_base_is_refused(files, tmp_path):
    folder, _ = files
    torch.save(random_state(seed=7), tmp_path / "mobile_sam.pt")
    with pytest.raises(CheckpointError, match="was trained on"):
        open_model(folder / "adapters.safetensors", base=tmp_path / "mobile_sam.pt")
