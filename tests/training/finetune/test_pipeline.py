# SPDX-License-Identifier: Apache-2.0
"""The whole command, small: from cut-outs to a verified model folder, in both forms of a model."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from amodal_ros.loading import EngineOptions, load_predictor
from amodal_ros.model_folder.manifest import load_manifest
from export.fetch_base_weights import fetch_base_weights
from export.options import ExportOptions
from export.to_onnx import export_model
from tests.training.finetune.conftest import SIZE, write_adapters
from training.datasets import AmodalCocoWriter
from training.finetune import pipeline
from training.finetune.__main__ import main
from training.finetune.settings import FinetuneSettings
from training.finetune.start import ADAPTERS, find_start


def draw_benchmark(folder: Path) -> Path:
    """Two pictures of a box behind a bar."""
    (folder / "images").mkdir(parents=True)
    writer = AmodalCocoWriter({"description": "test"}, ["box"])
    for number in range(2):
        image = np.full((120, 160, 3), 90, np.uint8)
        whole, bar = np.zeros((120, 160), bool), np.zeros((120, 160), bool)
        whole[30:90, 40 + 10 * number : 110] = True
        bar[:, 90:100] = True
        image[whole], image[bar] = (200, 60, 40), (30, 30, 160)
        name = f"images/{number}.png"
        cv2.imwrite(str(folder / name), image[..., ::-1])
        picture = writer.add_image(name, (120, 160))
        writer.add_object(picture, "box", whole, whole & ~bar)
    writer.write(folder / "stills.json")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("one_pass", [False, True])
def test_from_cut_outs_to_a_verified_folder(
    one_pass: bool, own: Path, others: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    adapters = write_adapters(tmp_path / ADAPTERS, visible_output=one_pass)
    older = tmp_path / "older"
    export_model(
        ExportOptions(
            base=fetch_base_weights(),
            checkpoint=adapters,
            out=older,
            mode="roi",
            image_size=SIZE,
            roi_factor=1.6,
        )
    )
    monkeypatch.setattr(pipeline, "refusal", lambda *figures: "")
    monkeypatch.setattr(pipeline, "OBJECTS", 6)
    out = tmp_path / "out"
    command = ["--source", f"cutouts:{own}", "--general", f"cutouts:{others}"]
    command += ["--general-scenes", "0", "--samples", "16", "--model", str(older)]
    command += ["--benchmark", str(draw_benchmark(tmp_path / "tabletop")), "--out", str(out)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"model_dir:={(out / 'model').resolve()}" in said
    assert "| tabletop benchmark, after | 2 |" in said
    manifest = load_manifest(out / "model")
    assert manifest.source["adapter_sha256"] != load_manifest(older).source["adapter_sha256"]
    assert (manifest.image_size, manifest.roi_factor) == (SIZE, 1.6)
    predictor = load_predictor(out / "model", EngineOptions("onnxruntime"))
    image = np.full((120, 160, 3), 90, np.uint8)
    assert len(predictor.predict(predictor.encode(image), [[40, 30, 100, 90]])) == 1
    # The same command does nothing again, and says the same.
    stamps = {path: path.stat().st_mtime_ns for path in (out / "run").rglob("state.pt")}
    assert main(command) == 0
    assert capsys.readouterr().out == said
    assert {path: path.stat().st_mtime_ns for path in (out / "run").rglob("state.pt")} == stamps
    assert main([*command, "--seed", "1"]) == 1  # begun with another
    assert json.loads((out / "settings.json").read_text())["seed"] == 0
    # What was learnt is where the next one starts.
    again = FinetuneSettings(source=("cutouts:more",), model=out / "model", out=tmp_path / "more")
    assert find_start(again).adapters == (out / ADAPTERS).resolve()
