# SPDX-License-Identifier: Apache-2.0
"""``visible_prior_share``: M_spec from what the base model sees of an object."""

from __future__ import annotations

import pytest
import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.mobile_sam_base import build_mobile_sam
from tests.training.trainer.synthetic import SyntheticConfig, SyntheticDataset, collate
from training.batch import TrainBatch
from training.trainer.config import TrainConfig, VideoConfig, check_config
from training.trainer.forward import predict

SIZE = 128


@pytest.fixture(scope="module")
def model() -> AmodalMobileSam:
    torch.manual_seed(0)
    config = AmodalConfig(base="mobile_sam", image_size=SIZE, positions=(4, 12), hidden_dim=8)
    built = AmodalMobileSam(config, build_mobile_sam(SIZE)).eval()
    with torch.no_grad():
        for adapter in built.adapters.values():  # an unadapted pass must not see them
            adapter.expand.weight.normal_(std=0.5)
    return built


def _batch(count: int) -> TrainBatch:
    dataset = SyntheticDataset(SyntheticConfig(), SIZE, seed=0)
    batch = collate([dataset[i] for i in range(count)])
    assert isinstance(batch, TrainBatch)
    return batch


def _base_masks(model: AmodalMobileSam, batch: TrainBatch) -> torch.Tensor:
    blank = torch.zeros_like(batch.prior_masks)
    with torch.no_grad():
        embeddings = model.suffix(
            model.prefix(batch.images),
            blank,
            torch.zeros(len(batch)),
            image_index=batch.image_index,
        )
        found = model.decode(embeddings, model.build_prompts(boxes_xyxy=batch.boxes_xyxy))
    logits = torch.nn.functional.interpolate(
        found.low_res_logits, scale_factor=4, mode="bilinear", align_corners=False
    )
    return (logits > 0).float()


def test_all_or_none_of_the_priors_are_the_base_models_masks(model):
    batch = _batch(3)
    expected = _base_masks(model, batch)
    assert 0 < expected.mean() < 1
    (frame,) = predict(model, batch, VideoConfig(), 1.0)
    assert torch.equal(frame.batch.prior_masks, expected)
    assert not frame.batch.prior_masks.requires_grad
    assert frame.low_res_logits.requires_grad
    (frame,) = predict(model, batch, VideoConfig(), 0.0)
    assert torch.equal(frame.batch.prior_masks, batch.prior_masks)


def test_a_share_of_them_is_drawn_from_torchs_generator(model):
    batch = _batch(6)
    expected = _base_masks(model, batch)

    def taken(seed: int) -> list[bool]:
        torch.manual_seed(seed)
        (frame,) = predict(model, batch, VideoConfig(), 0.5)
        found = frame.batch.prior_masks
        rows = [torch.equal(a, b) for a, b in zip(found, expected, strict=True)]
        kept = [torch.equal(a, b) for a, b in zip(found, batch.prior_masks, strict=True)]
        assert [not row for row in rows] == kept
        return rows

    assert taken(1) == taken(1)
    drawn = [taken(seed) for seed in range(4)]
    assert len({tuple(rows) for rows in drawn}) > 1
    assert 0 < sum(map(sum, drawn)) < 24


def test_where_the_base_model_finds_nothing_the_prior_stays(model, monkeypatch):
    batch = _batch(2)
    decode = model.decode

    def blind_to_the_first(embeddings, prompts):
        found = decode(embeddings, prompts)
        if not embeddings.adapter_gain.any():
            found.low_res_logits[0] = -1.0
        return found

    monkeypatch.setattr(model, "decode", blind_to_the_first)
    (frame,) = predict(model, batch, VideoConfig(), 1.0)
    assert torch.equal(frame.batch.prior_masks[0], batch.prior_masks[0])
    assert not torch.equal(frame.batch.prior_masks[1], batch.prior_masks[1])


def test_clips_and_shares_beyond_one_are_refused(model):
    dataset = SyntheticDataset(SyntheticConfig(frames=2), SIZE, seed=0)
    with pytest.raises(InvalidInputError, match="is for images, got 0"):
        predict(model, collate([dataset[0]]), VideoConfig(), 0.5)
    config = TrainConfig(base_weights="random", steps=1, visible_prior_share=1.5)
    with pytest.raises(InvalidInputError, match=r"visible_prior_share must be in \[0, 1\], got"):
        check_config(config)
