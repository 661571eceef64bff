# SPDX-License-Identifier: Apache-2.0
"""A small dataset on disk and a small model that needs no engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amodal_ros.inference.predictor import AmodalPredictor
from tests.fakes import FakeBackend, fake_manifest
from training.datasets import AmodalCocoWriter
from training.evaluation.segmenters import ModelDescription, OpenedModel, with_scaled_gain

HW = (48, 64)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(HW, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.fixture
def dataset_folder(tmp_path: Path) -> Path:
    """Two stills (whole, occluded, fully hidden objects) and a clip that moves to the right."""
    writer = AmodalCocoWriter({}, ["cup", "box"])
    (tmp_path / "images").mkdir()

    def add_image(name: str, **place: int) -> int:
        Image.fromarray(np.full((*HW, 3), 90, dtype=np.uint8)).save(tmp_path / "images" / name)
        return writer.add_image(f"images/{name}", HW, **place)

    first = add_image("first.png")
    whole = rectangle(8, 8, 24, 24)
    writer.add_object(first, "cup", whole, whole)
    writer.add_object(first, "box", rectangle(32, 8, 56, 40), rectangle(32, 8, 44, 40))
    second = add_image("second.png")
    writer.add_object(second, "cup", whole, np.zeros_like(whole))
    for frame in range(3):
        image = add_image(f"clip_{frame}.png", video_id=1, frame=frame)
        amodal = rectangle(8 + 4 * frame, 8, 32 + 4 * frame, 40)
        visible = amodal & rectangle(0, 0, 64, 24) if frame < 2 else np.zeros_like(amodal)
        writer.add_object(image, "box", amodal, visible, track_id=1)
    writer.write(tmp_path / "annotations.json")
    return tmp_path


@pytest.fixture
def fake_model():
    """Its raw amodal mask is the prompt box and, through the gain, M_spec."""

    def build(gain: float = 1.0) -> OpenedModel:
        manifest = fake_manifest()
        engine = with_scaled_gain(FakeBackend(manifest), gain)
        description = ModelDescription("fake", "onnx", "nowhere", "0" * 64, False, gain, {})
        return OpenedModel(AmodalPredictor(manifest, engine), description)

    return build
