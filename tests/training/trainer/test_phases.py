# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from amodal_ros.errors import CheckpointError, InvalidInputError
from tests.training.trainer.synthetic import (
    SyntheticConfig,
    log_lines,
    train,
    trained,
    write_config,
)
from tests.training.trainer.test_resume import assert_same, weights
from training.data.config import DataConfig
from training.keep import keep
from training.trainer.config_files import load_config
from training.trainer.phases import phase_at, phases_of
from training.trainer.state import write_kept

PHASES = [
    {"samples": 8},
    {"samples": 9, "model": {"image_size": 128}, "loss": {"occlusion": 2.0}},
    {"samples": 4, "optimiser": {"lr": 1e-4}},
]
SETTINGS = {
    "steps": 0,
    "phases": PHASES,
    "loss": {"adversarial": 0.0, "visible": 1.0},
    "model": {"base": "mobile_sam", "image_size": 64, "hidden_dim": 8, "visible_output": True},
    "ema": {"decay": 0.9},
    "validation": {"every_steps": 0},
    "checkpoint": {"every_steps": 1, "every_minutes": 0, "keep": 20, "round_every": 2},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("phases"), **SETTINGS)


def test_phases_follow_one_another_in_steps_and_items(tmp_path):
    config = load_config(
        write_config(tmp_path / "c.yaml", **SETTINGS), data_schema=SyntheticConfig
    )
    first, second, third = phases_of(config)
    assert [p.span.first_step for p in (first, second, third)] == [0, 2, 5]
    assert [p.span.first_item for p in (first, second, third)] == [0, 8, 20]
    assert {p.span.total_steps for p in (first, second, third)} == {6}
    assert [p.config.model["image_size"] for p in (first, second, third)] == [64, 128, 64]
    assert (second.config.loss.occlusion, third.config.loss.occlusion) == (2.0, 0.0)
    assert [phase_at((first, second, third), step) for step in (0, 1, 2, 4, 5)] == [0, 0, 1, 1, 2]


def test_the_recipe_learns_time_after_its_first_phase():
    recipe = Path("training/configs/embedded/recipe.yaml")
    config = load_config(recipe, data_schema=DataConfig)
    weights = [phase.config.data.prior.kind_weights for phase in phases_of(config)]
    assert weights[0] == [0.5, 0.2, 0.2, 0.1]
    assert {len(one) for one in weights[1:]} == {5}
    assert all(one[4] > 0 for one in weights[1:])


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ({"loss": {}}, "expected a mapping with samples"),
        ({"samples": 4, "seed": 1}, "seed cannot change within a run"),
        ({"samples": 4, "model": {"hidden_dim": 16}}, "model.hidden_dim cannot change"),
        ({"samples": 4, "loss": {"colour": 1}}, "colour"),
    ],
)
def test_what_cannot_change_is_refused(tmp_path, phase, message):
    path = write_config(tmp_path / "c.yaml", **{**SETTINGS, "phases": [phase]})
    with pytest.raises(InvalidInputError, match=message):
        phases_of(load_config(path, data_schema=SyntheticConfig))


def test_a_run_goes_through_all_phases(whole):
    log = log_lines(whole)
    assert [line["step"] for line in log] == [1, 2, 3, 4, 5, 6]
    assert ["occlusion" in line for line in log] == [False, False, True, True, True, False]
    assert log[5]["lr"] == pytest.approx(1e-4)


@pytest.mark.parametrize("step", [1, 2, 4])
def test_resumed_within_or_between_phases_it_ends_the_same(whole, tmp_path, step):
    run = tmp_path / "run"
    shutil.copytree(whole, run, symlinks=True)
    for later in range(step + 1, 7):
        shutil.rmtree(run / "checkpoints" / f"step_{later:08d}")
    config = write_config(tmp_path / "c.yaml", **SETTINGS)
    assert train(config, run, "--resume") == 0
    assert log_lines(run) == log_lines(whole)
    assert_same(weights(run, 6), weights(whole, 6))


def test_a_kept_state_is_small_and_goes_on_exactly(whole, tmp_path):
    before = tmp_path / "before"
    shutil.copytree(whole, before, symlinks=True)
    for later in (5, 6):
        shutil.rmtree(before / "checkpoints" / f"step_{later:08d}")
    kept = tmp_path / "state" / "kept.pt"
    assert keep(before, kept) == 4
    full = whole / "checkpoints" / "step_00000004" / "state.pt"
    assert kept.stat().st_size < 0.75 * full.stat().st_size
    config = write_config(tmp_path / "c.yaml", **SETTINGS)
    assert train(config, tmp_path / "run", "--from-state", str(kept)) == 0
    assert log_lines(tmp_path / "run") == log_lines(whole)[4:]
    assert_same(weights(tmp_path / "run", 6), weights(whole, 6))


def test_a_state_that_was_not_rounded_is_not_kept(whole, tmp_path):
    with pytest.raises(CheckpointError, match="bfloat16 cannot hold"):
        write_kept(tmp_path / "kept.pt", weights(whole, 3))


def test_phases_to_come_may_change_and_those_begun_may_not(whole, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(whole, run, symlinks=True)
    shutil.rmtree(run / "checkpoints" / "step_00000006")
    later = [*PHASES[:2], {"samples": 8}]
    config = write_config(tmp_path / "c.yaml", **{**SETTINGS, "phases": later})
    assert train(config, run, "--resume") == 0
    assert log_lines(run)[-1]["step"] == 7
    early = [{"samples": 4}, *PHASES[1:]]
    config = write_config(tmp_path / "c.yaml", **{**SETTINGS, "phases": early})
    assert train(config, run, "--resume") == 1
    assert "another configuration (phases:" in caplog.text


def test_a_visible_loss_needs_a_model_with_a_visible_mask(tmp_path, caplog):
    model = {"base": "mobile_sam", "image_size": 64, "hidden_dim": 8}
    settings = {**SETTINGS, "model": model, "phases": [], "steps": 1}
    assert train(write_config(tmp_path / "c.yaml", **settings), tmp_path / "run") == 1
    assert "needs a model with visible_output" in caplog.text
