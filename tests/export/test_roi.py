# SPDX-License-Identifier: Apache-2.0
"""Mode ``roi``: a crop per object, against the official modules run crop by crop in torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data
from torch.nn import functional as F

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.geometry import ResizeGeometry, expand_boxes
from amodal_ros.image.masks import mask_iou
from amodal_ros.inference.preprocess import preprocess_image
from amodal_ros.loading import EngineOptions, load_predictor
from amodal_ros.model_folder.manifest import default_model_dir, load_manifest
from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
from amodal_ros.modeling.base_weights import BaseWeights
from amodal_ros.modeling.checkpoint import save_checkpoint
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.mobile_sam_base import build_mobile_sam, load_into
from amodal_ros.verify import verify_model_dir
from export.fetch_base_weights import fetch_base_weights
from export.options import ExportOptions
from export.source import read_source
from export.to_onnx import export_model
from tests.modeling.mobile_sam_support import random_adapters
from training.evaluation.torch_segmenter import open_checkpoint

FACTOR = 1.8
# An object in the middle; then at the left, at the top, in the last corner, all of the image.
BOXES = np.array(
    [[60, 40, 390, 290], [0, 90, 70, 200], [200, 0, 300, 60], [380, 230, 451, 300],
     [0, 0, 451, 300]],
    dtype=np.float32,
)  # fmt: skip


def _options(base_weights: BaseWeights, folder, size: int) -> ExportOptions:
    """Adapters that change the features, before the third stage, the last and the neck."""
    config = AmodalConfig(base="mobile_sam", image_size=1024, positions=(4, 10, 12), hidden_dim=32)
    model = random_adapters(AmodalMobileSam.from_state(config, base_weights.state))
    checkpoint = folder / "adapters.safetensors"
    save_checkpoint(checkpoint, model, base_weights.identity, training={"steps": 1})
    return ExportOptions(
        base=fetch_base_weights(),
        checkpoint=checkpoint,
        out=folder / "model",
        mode="roi",
        image_size=size,
        roi_factor=FACTOR,
    )


def _official_logits(sam, tensor: torch.Tensor, box: np.ndarray) -> torch.Tensor:
    """MobileSAM's own modules on one crop; the encoder's own forward assumes 64 x 64 cells."""
    tokens = sam.image_encoder.patch_embed(tensor)
    for layer in sam.image_encoder.layers:
        tokens = layer(tokens)
    side = tensor.shape[-1] // 16
    embedding = sam.image_encoder.neck(tokens.view(1, side, side, -1).permute(0, 3, 1, 2))
    return _decode(sam, embedding, box)


def _decode(sam, embedding: torch.Tensor, box: np.ndarray) -> torch.Tensor:
    sparse, dense = sam.prompt_encoder(points=None, boxes=torch.from_numpy(box)[None], masks=None)
    logits, _ = sam.mask_decoder(
        image_embeddings=embedding,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    return logits


def _to_image(logits: torch.Tensor, geometry: ResizeGeometry) -> np.ndarray:
    """Bilinear logits at the centres of the image's pixels; nothing outside the crop."""
    height, width = geometry.original_hw
    x0, y0, x1, y1 = geometry.source_xyxy
    x = (torch.arange(width) + 0.5 - x0) / (x1 - x0) * 2 - 1
    y = (torch.arange(height) + 0.5 - y0) / (y1 - y0) * 2 - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None]
    found = F.grid_sample(logits, grid, padding_mode="border", align_corners=False)[0, 0]
    inside = (grid[0].abs() <= 1).all(dim=-1)
    return ((found > 0) & inside).numpy()


def _crop_by_crop(model: AmodalMobileSam, sam, image: np.ndarray, manifest, boxes: np.ndarray):
    """Amodal and visible masks of each box, one crop at a time."""
    amodal, visible = [], []
    hw = image.shape[:2]
    for box in boxes:
        region = expand_boxes(box[None], FACTOR)[0]
        geometry = ResizeGeometry.roi(hw, region, manifest.image_size)
        tensor = torch.from_numpy(preprocess_image(image, geometry, manifest.mean, manifest.std))
        prompt = geometry.boxes_to_input(box[None])[0]
        prior = np.zeros(hw, dtype=bool)
        x0, y0, x1, y1 = expand_boxes(box[None], manifest.prior_expand, hw)[0]
        prior[int(np.floor(y0)) : int(np.ceil(y1)), int(np.floor(x0)) : int(np.ceil(x1))] = True
        priors = torch.from_numpy(geometry.masks_to_input(prior[None]))
        adapted = model.suffix(model.prefix(tensor), priors).embeddings
        amodal.append(_to_image(_decode(sam, adapted, prompt), geometry))
        visible.append(_to_image(_official_logits(sam, tensor, prompt), geometry))
    return np.stack(amodal), np.stack(visible)


@torch.no_grad()
@pytest.mark.parametrize(
    "size", [224, *(pytest.param(size, marks=pytest.mark.slow) for size in (384, 448, 512))]
)
def test_masks_of_crops_equal_those_of_the_official_modules(base_weights, tmp_path, size):
    options = _options(base_weights, tmp_path, size)
    report = export_model(options)
    assert {g.graph for g in report.graphs} == {"prefix", "suffix", "decoder"}
    manifest = load_manifest(options.out)
    assert (manifest.mode, manifest.geometry, manifest.roi_factor) == ("roi", "roi", FACTOR)
    assert (manifest.image_size, manifest.low_res_size) == (size, size // 4)
    assert manifest.graphs["prefix"].inputs[0].shape == ("N", 3, size, size)
    sam = build_mobile_sam(size)
    load_into(sam, base_weights.state)
    image = data.chelsea()
    predictor = load_predictor(options.out, EngineOptions("onnxruntime", max_batch=3))
    found = predictor.predict(predictor.encode(image), BOXES)
    amodal, visible = _crop_by_crop(read_source(options).model, sam, image, manifest, BOXES)
    assert (found.raw_amodal_masks != found.visible_masks).any()
    for row in range(len(BOXES)):
        assert visible[row].sum() > 500
        assert mask_iou(found.visible_masks[row], visible[row]) >= 0.98
        assert mask_iou(found.raw_amodal_masks[row], amodal[row]) >= 0.98
    assert not verify_model_dir(options.out).failures()


def test_untrained_adapters_take_positions_and_width_and_a_checkpoint_does_not(
    base_weights, tmp_path
):
    options = _options(base_weights, tmp_path, 384)
    untrained = replace(options, checkpoint=None, positions=(6, 12), hidden_dim=128)
    config = read_source(untrained).model.config
    assert (config.positions, config.hidden_dim, config.image_size) == ((6, 12), 128, 384)
    with pytest.raises(InvalidInputError, match=r"are those of .*adapters\.safetensors"):
        read_source(replace(options, positions=(6, 12)))


def test_untrained_adapters_are_like_those_of_a_model_folder(base_weights, tmp_path):
    packaged = default_model_dir()
    options = replace(_options(base_weights, tmp_path, 384), checkpoint=None, like=packaged)
    wanted = {**load_manifest(packaged).source["config"], "image_size": 384}
    config = read_source(options).model.config
    assert config == AmodalConfig.from_dict(wanted)
    assert config.visible_output
    assert config.dilated_positions
    with pytest.raises(InvalidInputError, match=r"are those of .*amodal_mobilesam"):
        read_source(replace(options, hidden_dim=64))


@pytest.mark.slow  # three quarters of a minute; the graphs agree in test_family_export
def test_adapters_in_the_decoder(base_weights, tmp_path):
    """Exported and run by the predictor, they give what the checkpoint gives in torch."""
    config = AmodalConfig(
        base="mobile_sam", image_size=256, positions=(4, 12), decoder_positions=(2, 3)
    )
    model = random_adapters(AmodalMobileSam.from_state(config, base_weights.state))
    checkpoint = tmp_path / "adapters.safetensors"
    data_section = {"framing": "roi", "validation": {"roi_factor": FACTOR}}
    training = {"config": {"data": data_section}}
    save_checkpoint(checkpoint, model, base_weights.identity, training=training)
    base = fetch_base_weights()
    options = ExportOptions(
        base=base, checkpoint=checkpoint, out=tmp_path / "model", mode="roi", roi_factor=FACTOR
    )
    export_model(options)
    manifest = load_manifest(options.out)
    maps = {t.name: t.shape for t in manifest.graphs["decoder"].inputs}
    assert maps["high_res_0"] == ("N", 32, 64, 64)
    assert maps["prior_masks"] == ("N", 1, 256, 256)
    image = data.chelsea()
    engine = EngineOptions("onnxruntime", max_batch=3)
    predictor = load_predictor(options.out, engine, ask_twice=False, fine_edges=False)
    found = predictor.predict(predictor.encode(image), BOXES)
    segmenter = open_checkpoint(checkpoint, base, ask_twice=False, fine_edges=False)
    expected = segmenter.predictor.predict(
        segmenter.predictor.encode(image), BOXES, [None] * len(BOXES)
    )
    for name in ("raw_amodal_masks", "visible_masks"):
        for ours, torchs in zip(getattr(found, name), getattr(expected, name), strict=True):
            assert mask_iou(ours, torchs) >= 0.98
