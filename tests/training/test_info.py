# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from amodal_ros.modeling.base_weights import read_base_weights
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.checkpoint import save_checkpoint
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.mobile_sam_base import build_mobile_sam
from training.info import main


@pytest.fixture(scope="module")
def official_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "mobile_sam.pt"
    torch.save(build_mobile_sam().state_dict(), path)
    return path


def test_says_what_an_official_checkpoint_is(official_file, capsys):
    assert main([str(official_file)]) == 0
    printed = capsys.readouterr().out
    assert "unadapted base model" in printed
    assert "mobile_sam.pt" in printed
    assert read_base_weights(official_file).identity.state_sha256 in printed


def test_says_what_our_checkpoint_is(official_file, tmp_path, capsys):
    weights = read_base_weights(official_file)
    config = AmodalConfig(base="mobile_sam", image_size=64, hidden_dim=8)
    path = tmp_path / "adapters.safetensors"
    model = build_amodal(config, weights)
    save_checkpoint(path, model, weights.identity, training={"run": "a test", "steps": 7})
    assert main([str(path)]) == 0
    printed = capsys.readouterr().out
    assert "adapters of amodal_ros" in printed
    assert '"hidden_dim": 8' in printed
    assert '"steps": 7' in printed
    assert weights.identity.files["mobile_sam.pt"] in printed


def test_refuses_what_it_does_not_know(tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("no weights here")
    assert main([str(path)]) == 1
    assert "notes.txt: not a readable checkpoint" in capsys.readouterr().err
