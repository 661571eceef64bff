# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.config import MEMBERS, AmodalConfig
from tests.training.trainer.synthetic import SyntheticConfig, write_config
from training.data.config import DataConfig
from training.trainer.config_files import (
    CONFIGS,
    changed_keys,
    config_to_dict,
    load_config,
    read_config_dict,
)
from training.trainer.config_files import write_config as write_back

# Iterations of 4.1.
PAPER = {"kins": 40000, "cocoa": 20000, "cocoa_cls": 7000, "fishbowl": 75000, "movid_a": 75000}


def runnable() -> list[str]:
    """Every file that describes a run: not the parts that others inherit."""
    files = [*CONFIGS.glob("*.yaml"), *CONFIGS.glob("ablations/*.yaml")]
    return sorted(str(f.relative_to(CONFIGS)) for f in files if f.name != "paper.yaml")


def load(path: Path, *overrides: str):
    return load_config(path, overrides, data_schema=SyntheticConfig)


@pytest.mark.parametrize("name", runnable())
def test_every_configuration_is_complete_and_allowed(name):
    config = load_config(CONFIGS / name, data_schema=DataConfig)
    AmodalConfig.from_dict(config.model)
    assert config.data.sources
    assert config.data.validation.sources


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_recipe(name):
    config = load_config(CONFIGS / f"{name}.yaml", data_schema=DataConfig)
    assert config.steps == PAPER[name]
    assert (config.optimiser.lr, config.optimiser.final_lr) == (1e-4, 5e-5)
    assert config.optimiser.schedule == "linear"
    weights = config.loss
    assert (weights.segmentation, weights.consistency, weights.adversarial) == (1.0, 1.0, 1.0)
    assert weights.bce == 10.0
    assert config.discriminator.lr == 1e-4
    assert not config.discriminator.sees_image
    assert config.ema.decay == 0.0


def test_taos_trains_in_an_open_world():
    config = load_config(CONFIGS / "taos_sa1b.yaml", data_schema=DataConfig)
    assert config.discriminator.sees_image
    video = load_config(CONFIGS / "taos_sa1b_video.yaml", data_schema=DataConfig)
    assert video.data.frames > 1
    assert video.model["base"].startswith("sam2")


@pytest.mark.parametrize("member", MEMBERS)
def test_every_base_model_can_be_chosen(member):
    config = load_config(CONFIGS / "kins.yaml", [f"model={member}"], data_schema=DataConfig)
    assert AmodalConfig.from_dict(config.model).base == member
    assert config.model["image_size"] == 1024
    assert config.base_weights.startswith("weights/")
    assert config.steps == 40000


def test_the_folder_of_weights_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("AMODAL_WEIGHTS", "/models")
    config = load_config(CONFIGS / "kins.yaml", data_schema=DataConfig)
    assert config.base_weights == "/models/sam_vit_h_4b8939.pth"


def test_overrides_reach_into_lists_and_know_numbers():
    config = load_config(
        CONFIGS / "kins.yaml",
        ["data.sources[0].path=/kitti", "optimiser.lr=3e-4", "model.hidden_dim=null"],
        data_schema=DataConfig,
    )
    assert config.data.sources[0].path == "/kitti"
    assert config.data.sources[0].kind == "kins"
    assert config.optimiser.lr == 3e-4
    assert config.model["hidden_dim"] is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.rate=1", "rate"),
        ("lr=1", "lr"),
        ("data.colour=red", "colour"),
        ("steps=many", "many"),
        ("steps=0", "expected either steps, at least 1, or phases, got steps=0"),
        ("optimiser.schedule=sine", "linear, cosine, constant, got 'sine'"),
        ("devices.precision=16-mixed", "32-true, bf16-mixed"),
        ("ema.decay=1", r"\[0, 1\), got 1.0"),
        ("steps", "key=value, got 'steps'"),
        ("model=sam3", "sam3.yaml: not a readable configuration"),
    ],
)
def test_what_is_not_allowed_is_an_error(tmp_path, override, message):
    path = write_config(tmp_path / "c.yaml")
    with pytest.raises(InvalidInputError, match=message):
        load(path, override)


def test_a_missing_value_and_a_missing_file_are_named(tmp_path):
    (tmp_path / "c.yaml").write_text("steps: 1\n")
    with pytest.raises(InvalidInputError, match="no value for base_weights"):
        load(tmp_path / "c.yaml")
    with pytest.raises(InvalidInputError, match=r"none\.yaml: not a readable"):
        load(tmp_path / "none.yaml")


def test_later_files_and_the_file_itself_win(tmp_path):
    write_config(tmp_path / "a.yaml", steps=1, seed=1)
    (tmp_path / "b.yaml").write_text("steps: 2\noptimiser: {weight_decay: 0.5}\n")
    (tmp_path / "c.yaml").write_text("inherits: [a.yaml, b.yaml]\nseed: 3\n")
    config = load(tmp_path / "c.yaml")
    assert (config.steps, config.seed) == (2, 3)
    assert (config.optimiser.weight_decay, config.optimiser.lr) == (0.5, 1e-3)


def test_a_circle_is_an_error(tmp_path):
    (tmp_path / "a.yaml").write_text("inherits: b.yaml\n")
    (tmp_path / "b.yaml").write_text("inherits: a.yaml\n")
    with pytest.raises(InvalidInputError, match="inherits from itself"):
        load(tmp_path / "a.yaml")


def test_what_a_run_writes_is_read_back_the_same(tmp_path):
    config = load(write_config(tmp_path / "c.yaml", ema={"decay": 0.9}))
    write_back(tmp_path / "copy.yaml", config)
    assert load(tmp_path / "copy.yaml") == config
    assert read_config_dict(tmp_path / "copy.yaml") == config_to_dict(config)
    other = load(tmp_path / "copy.yaml", "optimiser.lr=0.5", "seed=4")
    changes = changed_keys(config_to_dict(config), config_to_dict(other))
    assert changes == ["optimiser.lr: 0.001 -> 0.5", "seed: 3 -> 4"]
