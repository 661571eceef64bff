# SPDX-License-Identifier: Apache-2.0
"""Graphs that OpenVINO compiled: kept for the next start, not in memory twice, of fixed shapes."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from amodal_ros.backends.openvino import compiling
from amodal_ros.backends.openvino.compiling import CompiledGraph, core_of
from tests.backends.test_onnxruntime_backend import constant, suffix_graph, write_folder
from tests.backends.test_openvino_backend import open_folder, suffix_inputs
from tests.fakes import SIZE

HEAVY_BYTES = 2 * 4 * SIZE**2 * 4096


def test_compiled_graphs_are_kept_for_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    folder, cache = write_folder(tmp_path / "model"), tmp_path / "cache"
    first = open_folder(folder, cache_dir=cache)
    blobs = {path.name: path.stat().st_mtime_ns for path in cache.glob("*.blob")}
    assert len(blobs) == 3
    second = open_folder(folder, cache_dir=cache)
    assert {path.name: path.stat().st_mtime_ns for path in cache.glob("*.blob")} == blobs
    inputs = suffix_inputs(2)
    np.testing.assert_array_equal(
        first.run("suffix", inputs)["embeddings"], second.run("suffix", inputs)["embeddings"]
    )


def heavy_suffix_graph() -> Any:
    """Two large matrices, one after the other, beside the features."""
    rng, count = np.random.default_rng(0), SIZE**2
    nodes = [
        helper.make_node("Reshape", ["prior_masks", "row"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w0"], ["wide"]),
        helper.make_node("Tanh", ["wide"], ["bent"]),
        helper.make_node("MatMul", ["bent", "w1"], ["narrow"]),
        helper.make_node("Reshape", ["adapter_gain", "column"], ["gain"]),
        helper.make_node("Mul", ["narrow", "gain"], ["spec"]),
        helper.make_node("Reshape", ["spec", "square"], ["own"]),
        helper.make_node("Mul", ["own", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "features"], ["shared"]),
        helper.make_node("Concat", ["shared", "own"], ["embeddings"], axis=1),
    ]
    graph = suffix_graph()
    shapes = {"row": [-1, count], "column": [-1, 1], "square": [-1, 1, SIZE, SIZE]}
    constants = [constant(name, shape, TensorProto.INT64) for name, shape in shapes.items()]
    constants.append(constant("zero", 0.0, TensorProto.FLOAT))
    for name, size in (("w0", (count, 4096)), ("w1", (4096, count))):
        constants.append(numpy_helper.from_array(rng.random(size, np.float32) / 4096, name))
    return helper.make_graph(nodes, "suffix", list(graph.input), list(graph.output), constants)


def resident_kb(cache: Path) -> dict[str, int]:
    """Memory of this process's mappings of kept graphs, by file."""
    found: dict[str, int] = {}
    name = ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head, *rest = line.split()
        if "-" in head and rest:
            name = rest[-1]
        elif head == "Rss:" and name.startswith(str(cache)):
            found[name] = found.get(name, 0) + int(rest[0])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("starts", [1, 2])
def test_weights_are_not_in_memory_twice(tmp_path: Path, starts: int) -> None:
    """Neither as they were read from the model's file, nor as they lie in the kept one."""
    (tmp_path / "model").mkdir()
    folder = write_folder(tmp_path / "model", suffix=heavy_suffix_graph())
    cache = tmp_path / "cache"
    for _ in range(starts):
        backend = open_folder(folder, cache_dir=cache)
        loaded = resident_kb(cache)
        backend.run("suffix", suffix_inputs(1))
    assert max(path.stat().st_size for path in cache.glob("*.blob")) > HEAVY_BYTES
    assert len(loaded) == 3
    for found in (loaded, resident_kb(cache)):
        assert sum(found.values()) < HEAVY_BYTES / 1024 / 10


def test_the_graph_as_it_was_read_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, read = core_of(openvino), []

    class Reader:
        def __getattr__(self, name: str) -> Any:
            return getattr(core, name)

        def read_model(self, path: str) -> Any:
            model = core.read_model(path)
            read.append(weakref.ref(model))
            return model

    monkeypatch.setattr(compiling, "core_of", lambda library: Reader())
    backend = open_folder(write_folder(tmp_path))
    gc.collect()
    assert [model() for model in read] == [None] * 3
    assert len(backend.run("suffix", suffix_inputs(2))["embeddings"]) == 2


def test_a_device_of_fixed_shapes_gets_a_graph_for_each(tmp_path: Path) -> None:
    """As an NPU needs it; here the CPU computes."""
    folder = write_folder(tmp_path)
    core, compiled = core_of(openvino), []
    model = core.read_model(str(folder / "suffix.onnx"))

    def compile_for(shapes: dict) -> Any:
        compiled.append(shapes["adapter_gain"])
        model.reshape({name: list(shape) for name, shape in shapes.items()})
        return core.compile_model(model, "CPU")

    graph = CompiledGraph(openvino, compile_for, fixed_shapes=True)
    for rows in (1, 2, 1, 2):
        inputs = suffix_inputs(rows)
        outputs = {"embeddings": np.zeros((rows, 2, SIZE, SIZE), np.float32)}
        with graph.request(inputs, outputs) as request:
            request.start_async()
            request.wait()
            found = request.get_tensor("embeddings").data
        assert found.any()
        assert np.array_equal(found, outputs["embeddings"])
    assert compiled == [(1,), (2,)]
    for rows in range(3, 40):
        with graph.request(suffix_inputs(rows), {}):
            pass
    assert len(graph._compiled) == 16
