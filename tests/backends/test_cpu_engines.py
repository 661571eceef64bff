# SPDX-License-Identifier: Apache-2.0
"""What the engines of a CPU refuse, each in the same words; on real graphs of a few nodes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from amodal_ros.errors import BackendError
from tests.backends import test_onnxruntime_backend as onnxruntime
from tests.backends import test_openvino_backend as openvino
from tests.backends.test_onnxruntime_backend import constant, decoder_graph, write_folder
from tests.fakes import SIZE, manifest_content

Opener = Callable[[Path], Any]
ENGINES: dict[str, Opener] = {
    "onnxruntime": onnxruntime.open_folder,
    "openvino": openvino.open_folder,
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def open_folder(engine: str) -> Opener:
    return ENGINES[engine]


def tensors() -> dict[str, np.ndarray]:
    return {
        "embeddings": np.zeros((2, 2, SIZE, SIZE), np.float32),
        "point_coords": np.zeros((2, 3, 2), np.float32),
        "point_labels": np.zeros((2, 3), np.float32),
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"point_labels": np.zeros((2, 3))},
            "decoder input point_labels: expected float32, got float64",
        ),
        ({"point_labels": [[0.0] * 3] * 2}, "expected float32, got list"),
        (
            {"point_labels": np.zeros((2, 4), np.float32)},
            r"decoder input point_labels: expected shape \(N=2, P=3\), got \(2, 4\)",
        ),
        (
            {"point_coords": np.zeros((2, 6), np.float32)},
            r"expected shape \(N=2, P, 2\), got \(2, 6\)",
        ),
        (
            {"more": np.zeros(1, np.float32)},
            r"decoder input: expected \['embeddings', 'point_coords'",
        ),
    ],
)
def test_inputs_that_do_not_match_are_named(
    open_folder: Opener, tmp_path: Path, changes: dict, message: str
) -> None:
    backend = open_folder(write_folder(tmp_path))
    with pytest.raises(BackendError, match=message):
        backend.run("decoder", {**tensors(), **changes})
    with pytest.raises(BackendError, match="graph 'encoder' is not loaded; loaded:"):
        backend.run("encoder", {})
    assert backend.run("decoder", tensors())["predicted_iou"].shape == (2,)


def test_output_of_another_shape_is_refused(open_folder: Opener, tmp_path: Path) -> None:
    """The file promises a number per object, and gives that of the first object only."""
    graph = decoder_graph()
    graph.node[-1].output[0] = "of_each"
    graph.initializer.append(constant("start", [0], TensorProto.INT64))
    graph.node.append(helper.make_node("Slice", ["of_each", "start", "one"], ["predicted_iou"]))
    backend = open_folder(write_folder(tmp_path, decoder=graph))
    with pytest.raises(BackendError, match=r"predicted_iou: expected shape \(N=2\), got \(1,\)"):
        backend.run("decoder", tensors())


@pytest.mark.parametrize(
    ("graph", "side", "index", "changes", "message"),
    [
        (
            "prefix",
            "inputs",
            0,
            {"name": "picture"},
            r"inputs: the manifest says \['picture'\], the file",
        ),
        ("prefix", "inputs", 0, {"dtype": "float16"}, "says float16 .* the file has float32"),
        (
            "prefix",
            "inputs",
            0,
            {"shape": [1, 3, 32, 32]},
            r"says float32 \[1, 3, 32, 32\], the file has",
        ),
        (
            "suffix",
            "inputs",
            1,
            {"shape": [4, 1, SIZE, SIZE]},
            r"prior_masks: .* has float32 \['[^']+', 1",
        ),
        ("suffix", "inputs", 2, {"shape": ["N", 1]}, r"adapter_gain: the manifest says"),
        ("prefix", "inputs", 0, {"shape": ["N", 3, SIZE, SIZE]}, r"image: the manifest says"),
        (
            "decoder",
            "outputs",
            0,
            {"shape": ["N", 1, 8, 8]},
            "output low_res_logits: the manifest says",
        ),
        ("decoder", "outputs", 1, {"name": "iou"}, "outputs: the manifest says"),
    ],
)
def test_file_that_is_not_what_the_manifest_says(
    open_folder: Opener,
    tmp_path: Path,
    graph: str,
    side: str,
    index: int,
    changes: dict,
    message: str,
) -> None:
    content = manifest_content()
    content["graphs"][graph][side][index].update(changes)
    with pytest.raises(BackendError, match=f"{graph}.onnx: .*{message}"):
        open_folder(write_folder(tmp_path, content))


def test_missing_library_is_one_clear_line(
    engine: str, open_folder: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path)
    monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(BackendError, match=f"install it with: pip install {engine}"):
        open_folder(tmp_path)
