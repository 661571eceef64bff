# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal_ros.backends.tensorrt.plan import GraphPlan
from amodal_ros.errors import BackendError, ManifestError
from amodal_ros.model_folder.memory import GRAPHS, load_memory, parse_memory, with_memory
from tests.verification.fake_video import MANIFEST, MEMORY, POINTERS, memory_content


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the three graphs, one of them with its weights beside it."""
    content = memory_content()
    for name in GRAPHS:
        entries = {f"{name}.onnx": content["graphs"][name]}
        if name == "memory_attention":
            entries[f"{name}.onnx.data"] = content["graphs"][name].setdefault("data", {})
        for file, entry in entries.items():
            data = file.encode() * 10
            (tmp_path / file).write_bytes(data)
            entry.update(file=file, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (tmp_path / "memory.json").write_text(json.dumps(content))
    return tmp_path


def test_good_folder(folder: Path) -> None:
    memory = load_memory(folder)
    assert memory is not None
    assert (memory.num_maskmem, memory.max_object_pointers) == (7, POINTERS)
    assert [memory.wants_best_of_three(points) for points in (0, 1, 2)] == [True, True, False]
    whole = with_memory(MANIFEST, memory)
    assert list(whole.graphs) == ["prefix", "suffix", "decoder", *GRAPHS]
    assert with_memory(MANIFEST, None) is MANIFEST


def test_model_without_a_video_path(tmp_path: Path) -> None:
    assert load_memory(tmp_path) is None


@pytest.mark.parametrize("file", ["memory_attention.onnx.data", "memory_decoder.onnx"])
def test_altered_and_missing_files_are_refused(folder: Path, file: str) -> None:
    data = bytearray((folder / file).read_bytes())
    data[3] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(ManifestError, match=rf"{file}: expected sha256 .*, got"):
        load_memory(folder)
    (folder / file).unlink()
    with pytest.raises(ManifestError, match=f"{file}: expected a file of .* bytes, found none"):
        load_memory(folder)


def test_file_that_is_no_json(folder: Path) -> None:
    (folder / "memory.json").write_text("{")
    with pytest.raises(ManifestError, match=r"memory\.json: expected JSON"):
        load_memory(folder)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("schema_version", 2, "schema_version: expected 1, got 2"),
        ("num_maskmem", 0, "num_maskmem: expected a whole number >= 1, got 0"),
        ("multimask_points", [0], r"multimask_points: expected 2 whole numbers >= 0, got \[0\]"),
        ("multimask_points", [0, True], "multimask_points: expected 2 whole numbers"),
        ("frames", 3, "unknown field: frames"),
        ("graphs", {}, "memory_attention: expected this field, found none"),
    ],
)
def test_each_wrong_field_is_named(name: str, value: Any, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        parse_memory({**memory_content(), name: value}, "memory.json")


@pytest.mark.parametrize(("prompted", "frames"), [(-1, 8), (1, 7), (4, 10)])
def test_the_model_limits_what_it_looks_at(prompted: int, frames: int) -> None:
    """Six frames and sixteen pointers less one beside the prompted ones."""
    content = {**memory_content(), "max_conditioning_frames": prompted}
    memory = parse_memory(content, "memory.json")
    greatest = memory.graphs["memory_attention"].greatest
    assert greatest == {"M": frames, "P": frames + POINTERS - 7}
    assert memory.graphs["memory_decoder"].greatest == {}  # P counts points there


def test_engines_hold_as_much_as_the_model_looks_at() -> None:
    spec = MEMORY.graphs["memory_attention"]
    plan = GraphPlan("memory_attention", spec, max_batch=4, max_points=3)
    sizes = {tensor.name: plan.buffer_bytes(tensor) for tensor in spec.inputs}
    assert sizes["memory_ages"] == 4 * 8 * 4
    assert sizes["pointer_ages"] == 4 * 17 * 4

    def inputs(frames: int) -> dict[str, np.ndarray]:
        free = {"N": 2, "M": frames, "P": 2}
        shapes = {
            tensor.name: [n if isinstance(n, int) else free[n] for n in tensor.shape]
            for tensor in spec.inputs
        }
        return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}

    assert plan.shapes(inputs(8))["conditioned"][0] == 2
    with pytest.raises(BackendError, match="takes 1 to 8 of M, got 9; the model looks at no more"):
        plan.shapes(inputs(9))
