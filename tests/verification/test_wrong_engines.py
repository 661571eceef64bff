# SPDX-License-Identifier: Apache-2.0
"""The gate on the model that ships: what rounds passes, what is wrong is caught."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.model_folder.manifest import ModelManifest, default_model_dir, load_manifest
from amodal_ros.verification.gate import run_gate
from amodal_ros.verification.measures import GateReport
from amodal_ros.verification.reference import ReferenceFrame, load_reference

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def manifest() -> ModelManifest:
    return load_manifest(default_model_dir())


@pytest.fixture(scope="module")
def engine(manifest: ModelManifest) -> OnnxRuntimeBackend:
    return OnnxRuntimeBackend(manifest)


@pytest.fixture(scope="module")
def frame(manifest: ModelManifest) -> ReferenceFrame:
    """Four objects with their truth: enough, and quick."""
    whole = load_reference(manifest.reference_path)[1]
    index = slice(0, 4)
    names = [name for name in vars(whole) if name != "image_rgb"]
    return replace(whole, **{name: getattr(whole, name)[index] for name in names})


class Altered:
    """An engine of which something is done to what goes in or comes out."""

    name = "altered"

    def __init__(
        self,
        engine: OnnxRuntimeBackend,
        alter: Callable[[str, Arrays], Arrays],
        inputs: Callable[[str, Arrays], Arrays] = lambda graph, arrays: arrays,
    ) -> None:
        self._engine, self._alter, self._inputs = engine, alter, inputs

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        return self._alter(graph, self._engine.run(graph, self._inputs(graph, dict(inputs))))

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass


def judged(
    manifest: ModelManifest, frame: ReferenceFrame, engine: Altered, rows: int
) -> GateReport:
    return run_gate(manifest, engine, None, [], reference=[frame], max_batch=rows)


def rounded(graph: str, arrays: Arrays) -> Arrays:
    """What passes between the graphs has eight bits, as in bfloat16."""
    if graph == "decoder":
        return arrays
    return {
        name: (values.view(np.uint32) + 0x8000 & 0xFFFF0000).view(np.float32)
        for name, values in arrays.items()
    }


def test_an_engine_that_rounds_passes(manifest, engine, frame) -> None:
    report = judged(manifest, frame, Altered(engine, rounded), 2)
    assert report.failures() == [], str(report)
    assert report.rows[0].comparison.predicted_iou_error > 0.0  # it is felt


def swapped(graph: str, arrays: Arrays) -> Arrays:
    return {**arrays, "image": arrays["image"][:, ::-1].copy()} if graph == "prefix" else arrays


def test_swapped_channels_are_caught(manifest, engine, frame) -> None:
    """Blue for red: masks that look well, and are not the model's."""
    report = judged(manifest, frame, Altered(engine, lambda _, a: a, swapped), 2)
    assert len(report.failures()) == 1, str(report)


def broken_row(graph: str, arrays: Arrays) -> Arrays:
    """Half of the embedding's channels is missing in the last row of a full call."""
    if graph != "suffix" or len(arrays["embeddings"]) < 4:
        return arrays
    embeddings = arrays["embeddings"].copy()
    embeddings[-1, ::2] = 0
    return {**arrays, "embeddings": embeddings}


def test_half_broken_attention_in_one_row_of_a_batch_is_caught(manifest, engine, frame) -> None:
    report = judged(manifest, frame, Altered(engine, broken_row), 4)
    assert len(report.failures()) == 1, str(report)


def less_true(graph: str, arrays: Arrays) -> Arrays:
    """All logits a little lower: every mask shrinks by a rim."""
    if graph != "decoder":
        return arrays
    logits = arrays["low_res_logits"]
    return {**arrays, "low_res_logits": logits - np.float32(0.12) * np.abs(logits).max()}


def test_masks_that_shrink_are_caught(manifest, engine, frame) -> None:
    report = judged(manifest, frame, Altered(engine, less_true), 2)
    assert len(report.failures()) == 1, str(report)
