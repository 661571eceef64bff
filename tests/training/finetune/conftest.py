# SPDX-License-Identifier: Apache-2.0
"""A small model folder with its adapters, and drawn objects to fine-tune it on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
from amodal_ros.modeling.base_weights import read_base_weights
from amodal_ros.modeling.checkpoint import save_checkpoint
from amodal_ros.modeling.config import AmodalConfig
from export.fetch_base_weights import fetch_base_weights

SIZE = 128


def draw_cut_outs(folder: Path, count: int) -> Path:
    """Soft-edged ellipses and boxes of many colours."""
    folder.mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        alpha = np.zeros((100, 120), np.uint8)
        if number % 2:
            cv2.ellipse(alpha, (60, 50), (45, 20 + number), 0, 0, 360, 255, -1)
        else:
            cv2.rectangle(alpha, (15, 20 + number), (105, 80), 255, -1)
        alpha = cv2.GaussianBlur(alpha, (5, 5), 1.5)
        colour = np.broadcast_to(rng.integers(20, 235, 3).astype(np.uint8), (100, 120, 3))
        cv2.imwrite(str(folder / f"{number:02d}.png"), np.dstack([colour, alpha]))
    return folder


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_cut_outs(tmp_path_factory.mktemp("own") / "objects", 5)


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_cut_outs(tmp_path_factory.mktemp("others") / "objects", 4)


def write_adapters(path: Path, *, visible_output: bool) -> Path:
    """Adapters of a small MobileSAM on the real base weights."""
    weights = read_base_weights(fetch_base_weights())
    torch.manual_seed(0)
    config = AmodalConfig(
        base="mobile_sam",
        image_size=SIZE,
        positions=(11, 12),
        hidden_dim=8,
        visible_output=visible_output,
    )
    model = AmodalMobileSam.from_state(config, weights.state)
    save_checkpoint(path, model, weights.identity, training={"steps": 1})
    return path
