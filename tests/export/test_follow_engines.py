# SPDX-License-Identifier: Apache-2.0
"""A model folder with memory graphs, loaded as the node loads it, on the engines of a CPU."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal_ros.errors import ManifestError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.loading import EngineOptions, load_predictor
from amodal_ros.model_folder.memory import GRAPHS, MEMORY_NAME
from amodal_ros.types import AmodalPrediction
from tests.export.exported import export_member
from tests.modeling.family_support import moving_square_clip

# Files of this group need the same exported members.
pytestmark = pytest.mark.xdist_group("exported_members")

BOXES = np.array([[16, 30, 60, 70], [60, 10, 120, 90]], np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_member("sam2.1_hiera_t", tmp_path_factory.mktemp("sam2") / "model", narrow=True)


def loaded(folder: Path, backend: str, **more: Any) -> AmodalPredictor:
    options = EngineOptions(
        backend, precision="f32", threads=1, max_batch=2, cache_dir=folder.parent / "cache"
    )
    return load_predictor(folder, options, **more)


def followed(model: AmodalPredictor) -> list[AmodalPrediction]:
    """Three frames; the second object enters with the second frame."""
    answers, memories = [], [None]
    for image in moving_square_clip(3):
        count = min(len(answers) + 1, 2)
        memories = [*memories, None][:count]
        features = model.encode(image)
        answers.append(
            model.follow(features, BOXES[:count], [None] * count, memories, [False] * count)
        )
        memories = list(answers[-1].remembered)
    return answers


def test_the_engines_of_a_cpu_follow_alike(folder: Path) -> None:
    pytest.importorskip("openvino")
    wanted, found = (followed(loaded(folder, name)) for name in ("onnxruntime", "openvino"))
    for one, other in zip(wanted, found, strict=True):
        assert 0.01 < one.raw_amodal_masks.mean() < 0.99
        assert (one.raw_amodal_masks == other.raw_amodal_masks).mean() > 0.99
        assert (one.visible_masks == other.visible_masks).mean() > 0.99
        assert [m.looks for m in one.remembered] == [m.looks for m in other.remembered]
    assert [m.looks for m in wanted[-1].remembered] == [3, 2]
    (note,) = (folder.parent / "cache").glob("*.passed.json")  # of OpenVINO's first load
    rows = json.loads(note.read_text())["report"]["rows"]
    assert {row["part"] for row in rows} >= {*GRAPHS, "video, end to end"}


def test_it_can_be_switched_off(folder: Path) -> None:
    model = loaded(folder, "onnxruntime", model_memory=False)
    assert not model.remembers
    assert model.notes["model_memory"] == "no"
    on = loaded(folder, "onnxruntime")
    assert on.notes["model_memory"] == "yes: 6 frames, 2 prompted ones, 15 object pointers"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (MEMORY_NAME, r"memory\.json: expected this file beside memory_attention"),
        ("memory_encoder.onnx", r"memory_encoder\.onnx: expected a file of .* found none"),
    ],
)
def test_an_incomplete_folder_is_refused(
    folder: Path, tmp_path: Path, missing: str, message: str
) -> None:
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / missing).unlink()
    with pytest.raises(ManifestError, match=message):
        loaded(tmp_path / "model", "onnxruntime")
