# SPDX-License-Identifier: Apache-2.0
"""Every member of the family as graphs: the gate against torch, and the predictor on top."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data

from amodal_ros.errors import InvalidInputError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.loading import EngineOptions, load_predictor
from amodal_ros.model_folder.manifest import load_manifest
from amodal_ros.model_folder.memory import MEMORY_NAME
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.checkpoint import save_checkpoint
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.mobile_sam_base import build_mobile_sam
from amodal_ros.modeling.torch_backend import TorchBackend, feature_layout
from export.gate import RANDOM_WEIGHTS
from export.options import ExportOptions
from export.source import build_source, is_untrained
from export.to_onnx import export_source
from tests.export.exported import export_member, random_source
from tests.modeling.family_support import activate, make_case, random_image

# Both files need the same exported members.
pytestmark = pytest.mark.xdist_group("exported_members")

BOXES = np.array([[60, 40, 390, 290], [0, 90, 70, 200], [380, 230, 451, 300]], dtype=np.float32)
FAMILIES = {"sam_vit_b": "sam", "sam2.1_hiera_t": "sam2", "mobile_sam": "mobile_sam"}


@pytest.mark.parametrize(
    "base",
    ["sam2.1_hiera_t", "mobile_sam", pytest.param("sam_vit_b", marks=pytest.mark.slow)],
)
def test_narrow_members_run_in_the_predictor(base, tmp_path):
    manifest = load_manifest(export_member(base, tmp_path / "model", narrow=True))
    assert (manifest.family, manifest.mode) == (FAMILIES[base], "full")
    assert manifest.geometry == ("stretch" if manifest.family == "sam2" else "letterbox")
    assert manifest.source["random_weights"] is True
    assert (manifest.directory / MEMORY_NAME).exists() == (manifest.family == "sam2")
    image = data.chelsea()
    predictor = load_predictor(manifest.directory, EngineOptions("onnxruntime", max_batch=2))
    features = predictor.encode(image)
    together = predictor.predict(features, BOXES)
    assert (together.raw_amodal_masks != together.visible_masks).any()
    for row in range(len(BOXES)):
        alone = predictor.predict(features, BOXES[row : row + 1])
        same = alone.raw_amodal_masks[0] == together.raw_amodal_masks[row]
        assert same.mean() > 0.999


def _check_gate(source, out, mode):
    options = ExportOptions(base=out, out=out, precision="fp32", mode=mode, min_mask_iou=0.99)
    report = export_source(source, options)
    assert all(graph.relative < 1e-4 for graph in report.graphs)
    assert RANDOM_WEIGHTS in str(report)
    outputs = {f"{g.graph}.{g.output}" for g in report.graphs}
    maps = {"suffix.high_res_0", "suffix.high_res_1"}
    assert maps <= outputs or source.family != "sam2"
    video = {
        "memory_attention.conditioned",
        "memory_encoder.memory",
        "memory_decoder.object_score",
    }
    assert video <= outputs or mode == "roi"


@pytest.mark.parametrize(
    "base",
    [
        "mobile_sam",
        *(pytest.param(b, marks=pytest.mark.slow) for b in ("sam_vit_b", "sam2.1_hiera_t")),
    ],
)
def test_one_pass_of_any_member_gives_both_masks(base, tmp_path):
    source = random_source(base, narrow=True, visible=True)
    if base == "mobile_sam":
        options = {"decoder_positions": (1, 3), "visible_output": True}
        source = replace(source, model=activate(make_case(base).build(**options)))
    out = tmp_path / "model"
    options = ExportOptions(base=out, out=out, precision="fp32", min_mask_iou=0.99)
    report = export_source(source, options)
    assert all(graph.relative < 1e-4 for graph in report.graphs)
    assert "decoder.visible_logits" in {f"{g.graph}.{g.output}" for g in report.graphs}
    predictor = load_predictor(
        out, EngineOptions("onnxruntime"), ask_twice=False, fine_edges=False
    )
    found = predictor.predict(predictor.encode(data.chelsea()), BOXES)
    assert (found.raw_amodal_masks != found.visible_masks).any()
    reference = TorchBackend(source.model)
    torch_predictor = AmodalPredictor(predictor.manifest, reference)
    wanted = torch_predictor.predict(torch_predictor.encode(data.chelsea()), BOXES)
    assert (found.visible_masks == wanted.visible_masks).mean() > 0.999


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "mode"), [("sam_vit_b", "roi"), ("sam2.1_hiera_t", "roi"), ("sam2_hiera_t", "full")]
)
def test_graphs_in_fp32_agree_with_torch_for_all_counts(base, mode, tmp_path):
    _check_gate(random_source(base, narrow=True), tmp_path / "model", mode)


def test_random_weights_are_told_from_trained_ones(base_weights):
    assert not is_untrained(base_weights.state)
    assert is_untrained(build_mobile_sam(64).state_dict())


def test_adapters_in_the_decoder_are_refused_by_name(base_weights, tmp_path):
    config = AmodalConfig(base="mobile_sam", image_size=64, place="decoder")
    model = build_amodal(config, base_weights)
    checkpoint = tmp_path / "adapters.safetensors"
    save_checkpoint(checkpoint, model, base_weights.identity)
    options = ExportOptions(base=tmp_path, out=tmp_path / "model", checkpoint=checkpoint)
    with pytest.raises(InvalidInputError, match="its adapters sit in the decoder"):
        build_source(options, base_weights)


@pytest.mark.parametrize("positions", [(2, 3, 4), (3,), (1, 4)])
def test_packed_features_are_the_features(positions):
    model = make_case("sam2.1_hiera_t").build(positions=positions)
    layout = feature_layout(model)
    features = model.prefix(random_image(batch=2))
    packed = layout.pack(features)
    assert packed.shape[2:] == features[0].shape[2:]
    for found, wanted in zip(layout.unpack(packed), features, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)
