# SPDX-License-Identifier: Apache-2.0
"""Result files of benchmarks: JSON that says what was measured, where, and of which model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amodal_ros.reporting import measure, provenance, summarise

if TYPE_CHECKING:
    from amodal_ros.inference.predictor import AmodalPredictor

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def model_facts(folder: Path | None) -> dict[str, Any]:
    """Which model is measured: its folder's name and the digests of its graphs.

    Args:
        folder: of the model; None: the packaged one.

    Raises:
        ManifestError: if it is no model folder.
    """
    from amodal_ros.model_folder.manifest import default_model_dir, load_manifest

    graphs = load_manifest(folder or default_model_dir()).graphs
    return {
        "model": folder.name if folder else "packaged",
        "model_sha256": {role: graph.file.sha256 for role, graph in graphs.items()},
    }


def write_result(
    path: Path, benchmark: str, settings: Mapping[str, Any], results: Mapping[str, Any]
) -> None:
    """Write a benchmark's JSON file.

    Args:
        path: folders are made.
        benchmark: what was measured.
        settings: warm-up, repeats, sizes, seeds: what another run needs to repeat it.
        results: summaries and marks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "benchmark": benchmark,
        **provenance(),
        "settings": dict(settings),
        "results": dict(results),
    }
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")


def percent(values: Sequence[float]) -> float | None:
    """Mean of shares in percent; None: there are none."""
    return round(100 * float(np.mean(values)), 2) if values else None


def time_frames(
    predictor: AmodalPredictor, objects: Sequence[int], repeats: int
) -> dict[str, dict[str, float]]:
    """Milliseconds of a frame, encoded and asked for, by its number of objects."""
    from export.benchmarking.scene import draw_scene

    frames = {}
    for count in objects:
        image, boxes = draw_scene(count)

        def frame(image: np.ndarray = image, boxes: np.ndarray = boxes) -> None:
            predictor.predict(predictor.encode(image), boxes)

        frames[str(count)] = summarise(measure(frame, 1, repeats))
    return frames
