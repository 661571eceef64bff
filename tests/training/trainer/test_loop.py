# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from amodal_ros.modeling.base_weights import identify
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.checkpoint import load_checkpoint, read_header
from amodal_ros.modeling.config import AmodalConfig
from tests.training.trainer.synthetic import log_lines, train, trained, write_config
from training.trainer.checkpoints import CheckpointFolder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything switched on."""
    return trained(
        tmp_path_factory.mktemp("finished"),
        steps=7,
        data={"validation": 4},
        ema={"decay": 0.9},
        log={"tensorboard": True, "every_steps": 1},
    )


def test_the_run_folder_says_what_was_done(finished):
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert config["optimiser"]["lr"] == 1e-3
    assert config["loss"]["bce"] == 10.0
    start = json.loads((finished / "starts.jsonl").read_text())
    assert len(start["commit"].removesuffix("-dirty")) == 12
    assert start["packages"]["torch"] == torch.__version__.partition("+")[0]


def test_every_step_is_in_the_loss_log(finished):
    lines = log_lines(finished)
    assert [line["step"] for line in lines] == list(range(1, 8))
    assert lines[0]["lr"] == pytest.approx(1e-3)
    assert lines[-1]["lr"] == pytest.approx(5e-4)
    for line in lines:
        assert line["segmentation"] == pytest.approx(line["dice"] + 10 * line["bce"], rel=1e-5)
        ramp = min(1.0, (line["step"] - 1) / 2)
        total = line["segmentation"] + line["consistency"] + ramp * line["adversarial"]
        assert line["loss"] == pytest.approx(total, rel=1e-5)
        assert 0 < line["d_true"] < 1
        assert line["grad_norm"] > 0


def test_newest_and_best_checkpoints_are_kept(finished):
    folder = CheckpointFolder(finished / "checkpoints", keep=2)
    validations = log_lines(finished, "validation.jsonl")
    assert [v["step"] for v in validations] == [3, 6, 7]
    best = max(validations, key=lambda v: v["score"])
    assert folder.best().step == best["step"]
    assert folder.best().score == pytest.approx(best["score"])
    assert set(folder.steps()) == {6, 7, best["step"]}
    assert (finished / "checkpoints" / "last").resolve() == folder.path(7)
    assert (finished / "checkpoints" / "best").resolve() == folder.path(best["step"])


def test_the_exported_adapters_are_the_average_and_load(finished):
    path = finished / "checkpoints" / "last" / "adapters.safetensors"
    header = read_header(path)
    assert header.training["step"] == 7
    assert header.training["averaged"] is True
    assert header.training["config"]["seed"] == 3
    torch.manual_seed(3)
    model = build_amodal(AmodalConfig(base="mobile_sam", image_size=64, hidden_dim=8))
    identity = identify("mobile_sam", "random weights", model.base.state_dict(), {})
    load_checkpoint(path, model, identity)
    state = torch.load(finished / "checkpoints" / "last" / "state.pt", weights_only=True)
    own, average = state["model"], state["average"]["average"]
    for name, value in model.trainable_state().items():
        assert torch.equal(value, average[name]), name
    assert any(not torch.equal(own[name], average[name]) for name in own)


def test_tensorboard_has_losses_metrics_and_pictures(finished):
    events = EventAccumulator(str(finished / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "train/d_true", "validation/miou_occ"} <= set(tags["scalars"])
    points = events.Scalars("train/loss")
    assert [p.step for p in points] == list(range(1, 8))
    assert points[3].value == pytest.approx(log_lines(finished)[3]["loss"], rel=1e-5)
    (tag,) = tags["images"]
    picture = events.Images(tag)[-1]
    assert (picture.width, picture.height) == (5 * 192, 2 * 192)


def test_nan_stops_the_run_and_keeps_the_batch(tmp_path, caplog):
    # Step 3 consumes items 8 to 11.
    config = write_config(tmp_path / "c.yaml", data={"broken_item": 9})
    assert train(config, tmp_path / "run") == 1
    assert len(log_lines(tmp_path / "run")) == 2
    saved = tmp_path / "run" / "diverged" / "step_00000003_rank_0.pt"
    assert str(saved) in caplog.text
    assert "is nan" in caplog.text
    content = torch.load(saved, weights_only=True)
    keys = [key for micro in content["micro_batches"] for frame in micro for key in frame["keys"]]
    assert keys == [f"item {i} object 0" for i in range(8, 12)]
    assert torch.isnan(content["micro_batches"][0][0]["images"][1]).all()
    state = CheckpointFolder(tmp_path / "run" / "checkpoints", keep=2).load(2)
    assert all(torch.isfinite(value).all() for value in state["model"].values())


def test_it_learns(tmp_path):
    """Whole ellipses, from random weights, in seconds; so the decoder is trained too."""
    run = trained(
        tmp_path,
        model={
            "base": "mobile_sam",
            "image_size": 64,
            "hidden_dim": 8,
            "unfrozen": ["mask_decoder"],
        },
        steps=12,
        optimiser={"lr": 3e-3, "schedule": "constant"},
        batch={"size": 2, "per_device": 2},
        loss={"adversarial": 0.1},
        validation={"every_steps": 0},
        checkpoint={"every_steps": 0, "every_minutes": 0},
    )
    lines = log_lines(run)
    first = sum(line["segmentation"] for line in lines[:3]) / 3
    last = sum(line["segmentation"] for line in lines[-3:]) / 3
    assert last < 0.7 * first


@pytest.mark.parametrize(
    ("loss", "absent"),
    [
        ({"adversarial": 0}, {"adversarial", "discriminator", "d_true", "d_grad_norm"}),
        ({"consistency": 0}, {"consistency"}),
        ({}, {"occlusion"}),
    ],
)
def test_a_term_can_be_switched_off(tmp_path, loss, absent):
    run = trained(tmp_path, steps=1, loss=loss)
    assert not absent & log_lines(run)[0].keys()


def test_the_term_of_the_hidden_part_is_in_the_loss(tmp_path):
    run = trained(tmp_path, steps=1, loss={"occlusion": 2.0, "adversarial": 0})
    line = log_lines(run)[0]
    assert 0 < line["occlusion"] <= 1
    total = line["segmentation"] + line["consistency"] + 2 * line["occlusion"]
    assert line["loss"] == pytest.approx(total, rel=1e-6)


def test_closed_domain_needs_no_original_and_open_world_says_so(tmp_path, caplog):
    data = {"has_original": False}
    config = write_config(tmp_path / "c.yaml", steps=1, data=data)
    assert train(config, tmp_path / "open") == 1
    assert "discriminator.sees_image=false" in caplog.text
    assert train(config, tmp_path / "closed", "discriminator.sees_image=false") == 0


def test_objects_without_a_hidden_part_train_too(tmp_path):
    run = trained(tmp_path, steps=1, data={"unoccluded": True})
    line = log_lines(run)[0]
    assert line["consistency"] == 0.0
    assert line["segmentation"] > 0


def test_clips_and_bf16_train(tmp_path):
    run = trained(
        tmp_path,
        steps=2,
        data={"frames": 2, "validation": 2},
        devices={"accelerator": "cpu", "devices": "1", "precision": "bf16-mixed"},
    )
    assert all(0 < line["loss"] < 100 for line in log_lines(run))


def test_accumulation_and_workers_change_no_item(tmp_path):
    config = write_config(tmp_path / "c.yaml", steps=2, loss={"adversarial": 0})
    assert train(config, tmp_path / "a") == 0
    assert train(config, tmp_path / "b", "batch.per_device=4", "batch.num_workers=2") == 0
    for one, other in zip(log_lines(tmp_path / "a"), log_lines(tmp_path / "b"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_another_run_starts_from_its_adapters(finished, tmp_path):
    config = write_config(tmp_path / "c.yaml", steps=1)
    adapters = finished / "checkpoints" / "last" / "adapters.safetensors"
    assert train(config, tmp_path / "fresh") == 0
    assert train(config, tmp_path / "run", f"init_from={adapters}") == 0
    fresh, continued = log_lines(tmp_path / "fresh")[0], log_lines(tmp_path / "run")[0]
    assert continued["segmentation"] < fresh["segmentation"]


def test_a_dry_run_says_what_a_step_needs_and_writes_nothing(tmp_path, caplog):
    config = write_config(tmp_path / "c.yaml", steps=1000)
    with caplog.at_level(logging.INFO):
        assert train(config, tmp_path / "run", "--dry-run") == 0
    assert "1000 steps of 4 items (2 x 2 on each of 1 devices)" in caplog.text
    assert "peak memory" in caplog.text
    assert not (tmp_path / "run").exists()
