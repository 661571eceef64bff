# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the node's own cost runs all stages and takes the engine's time off."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import default_model_dir, load_manifest
from amodal_ros.tracking.judgement import judge
from amodal_ros.tracking.tracker import AmodalTracker, TrackerConfig
from amodal_ros.types import Detections
from benchmarks.own_cost import StandIn, Watch, main


def test_all_stages_are_measured(tmp_path: Path) -> None:
    out, document = tmp_path / "cost.json", tmp_path / "page.md"
    document.write_text("<!-- generated own cost -->\n\n<!-- end own cost -->\n")
    options = ["--objects", "2", "--frames", "2", "--width", "320", "--height", "240"]
    main([*options, "--out", str(out), "--document", str(document)])
    assert "| objects | convert | plan |" in document.read_text()
    (stages,) = json.loads(out.read_text())["results"]["milliseconds"].values()
    assert set(stages) == {"convert", "plan", "predictor", "update", "message", "tracking", "all"}
    assert stages["all"]["median"] > stages["tracking"]["median"] > 0


def test_the_engine_does_not_count() -> None:
    engine = StandIn(load_manifest(default_model_dir()))
    watch = Watch(engine)

    def work() -> None:
        engine.spent_s += 5.0

    watch.time("engine", work)
    assert watch.stages_ms["engine"] < -4000


def test_the_tracker_sees_objects_and_learns_their_looks() -> None:
    """Else it has less to do than with a model."""
    manifest = load_manifest(default_model_dir())
    predictor = AmodalPredictor(manifest, StandIn(manifest), max_batch=2)
    tracker, image = AmodalTracker(), np.zeros((120, 160, 3), np.uint8)
    boxes = [[20, 30, 60, 80], [90, 20, 140, 90]]
    plan = tracker.plan(Detections.from_boxes(boxes), 0.0, (120, 160), image)
    prediction = predictor.predict(predictor.encode(image), plan.boxes_xyxy, plan.prior_masks)
    assert [one.visible.area > 500 for one in tracker.update(plan, prediction)] == [True, True]
    plan = tracker.plan(Detections.from_boxes([]), 0.1, (120, 160), image)
    prediction = predictor.predict(predictor.encode(image), plan.boxes_xyxy, plan.prior_masks)
    outcomes = judge(plan, prediction, TrackerConfig())
    shares = [one.likeness and one.likeness.share(one.judgement.visible) for one in outcomes]
    assert min(share or 0.0 for share in shares) > 0.7


def test_it_gives_tensors_of_the_models_shapes() -> None:
    manifest = load_manifest(default_model_dir())
    found = StandIn(manifest).run("prefix", {"image": np.zeros((2, 3, 448, 448), np.float32)})
    assert found["features"].shape == (2, *manifest.graphs["prefix"].outputs[0].shape[1:])
