# SPDX-License-Identifier: Apache-2.0
"""The OpenVINO backend on real graphs of a few nodes, with the fake model's tensors."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.backends.openvino import backend as openvino_backend
from amodal_ros.backends.openvino.backend import OpenVinoBackend
from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.model_folder.manifest import load_manifest
from tests.backends.test_onnxruntime_backend import (
    constant,
    suffix_graph,
    write_folder,
)
from tests.fakes import SIZE


def open_folder(folder: Path, **options: Any) -> OpenVinoBackend:
    return OpenVinoBackend(load_manifest(folder), **{"threads": 1, "precision": "f32", **options})


def suffix_inputs(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "features": rng.random((1, 1, SIZE, SIZE), np.float32),
        "prior_masks": rng.integers(0, 2, (rows, 1, SIZE, SIZE)).astype(np.float32),
        "adapter_gain": rng.random(rows, np.float32),
    }


def test_each_graph_runs_as_in_onnxruntime(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    backend, other = open_folder(folder), OnnxRuntimeBackend(load_manifest(folder))
    assert backend.name == "openvino/CPU f32"
    for rows in (1, 3, 2):
        inputs = suffix_inputs(rows, rows)
        found = backend.run("suffix", inputs)["embeddings"]
        np.testing.assert_allclose(found, other.run("suffix", inputs)["embeddings"], atol=1e-6)
        prompts = {
            "embeddings": found,
            "point_coords": np.zeros((rows, 2, 2), np.float32),
            "point_labels": np.zeros((rows, 2), np.float32),
        }
        for name, values in backend.run("decoder", prompts).items():
            wanted = other.run("decoder", prompts)[name]
            np.testing.assert_allclose(values, wanted, atol=1e-6)


def summed_suffix_graph() -> Any:
    """Convolutions of the image's features and of M_spec, added: as an adapter's first step."""
    weights = np.random.default_rng(0).normal(size=(2, 2, 1, 3, 3)).astype(np.float32)
    shapes = {"kernel_shape": [3, 3], "pads": [1] * 4}
    nodes = [
        helper.make_node("Conv", ["features", "w0"], ["shared"], **shapes),
        helper.make_node("Reshape", ["adapter_gain", "column"], ["gain"]),
        helper.make_node("Mul", ["prior_masks", "gain"], ["spec"]),
        helper.make_node("Conv", ["spec", "w1"], ["own"], **shapes),
        helper.make_node("Add", ["shared", "own"], ["embeddings"]),
    ]
    graph = suffix_graph()
    constants = [constant("column", [-1, 1, 1, 1], TensorProto.INT64)]
    constants += [constant(f"w{i}", w.tolist(), TensorProto.FLOAT) for i, w in enumerate(weights)]
    return helper.make_graph(nodes, "suffix", list(graph.input), list(graph.output), constants)


def test_what_all_objects_share_is_added_to_each(tmp_path: Path) -> None:
    """OpenVINO's plugin took the image's one row for as many as there are objects, and failed."""
    folder = write_folder(tmp_path, suffix=summed_suffix_graph())
    backend, other = open_folder(folder), OnnxRuntimeBackend(load_manifest(folder))
    for rows in (3, 1, 2):
        inputs = suffix_inputs(rows)
        found = backend.run("suffix", inputs)["embeddings"]
        np.testing.assert_allclose(found, other.run("suffix", inputs)["embeddings"], atol=1e-5)


def test_an_answer_stays_as_it_was_when_the_request_is_used_again(tmp_path: Path) -> None:
    backend = open_folder(write_folder(tmp_path))
    first = backend.run("suffix", suffix_inputs(2, 1))["embeddings"]
    before = first.copy()
    backend.run("suffix", suffix_inputs(2, 2))
    np.testing.assert_array_equal(first, before)


def test_outputs_are_written_where_they_are_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are several megabytes; a copy of each took a millisecond for two objects."""
    backend, kept = open_folder(write_folder(tmp_path)), openvino_backend._kept
    lies: list[bool] = []
    monkeypatch.setattr(
        openvino_backend,
        "_kept",
        lambda values, place: lies.append(np.shares_memory(values, place)) or kept(values, place),
    )
    for rows in (2, 1, 3):
        backend.run("suffix", suffix_inputs(rows))
    assert lies == [True] * 3


def test_output_whose_length_no_input_tells_is_copied(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    content = json.loads((folder / "manifest.json").read_text())
    content["graphs"]["suffix"]["outputs"][0]["shape"][0] = "M"
    (folder / "manifest.json").write_text(json.dumps(content))
    backend, inputs = open_folder(folder), suffix_inputs(2, 1)
    first = backend.run("suffix", inputs)["embeddings"]
    before = first.copy()
    gains = inputs["adapter_gain"][:, None, None, None]
    np.testing.assert_allclose(first[:, 1:], inputs["prior_masks"] * gains, atol=1e-6)
    backend.run("suffix", suffix_inputs(2, 2))
    np.testing.assert_array_equal(first, before)


def test_inputs_that_cannot_be_written_to_are_taken(tmp_path: Path) -> None:
    backend = open_folder(write_folder(tmp_path))
    inputs = suffix_inputs(2)
    wanted = backend.run("suffix", inputs)["embeddings"]
    for values in inputs.values():
        values.flags.writeable = False
    np.testing.assert_array_equal(backend.run("suffix", inputs)["embeddings"], wanted)


def test_several_threads_get_their_own_answers(tmp_path: Path) -> None:
    backend = open_folder(write_folder(tmp_path))
    wrong: list[int] = []

    def work(seed: int) -> None:
        for rows in (1, 2, 3, 1):
            inputs = suffix_inputs(rows, seed)
            found = backend.run("suffix", inputs)["embeddings"][:, 1:]
            gains = inputs["adapter_gain"][:, None, None, None]
            if not np.allclose(found, inputs["prior_masks"] * gains, atol=1e-6):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_run_in_progress_can_be_interrupted(tmp_path: Path) -> None:
    """A cancelled request ends after the operator it is at; later runs are refused at once."""
    backend = open_folder(write_folder(tmp_path))
    request = _Request(backend.interrupt)
    backend._graphs["suffix"]._idle[None] = [request]
    with pytest.raises(BackendError, match="interrupted: suffix was ended"):
        backend.run("suffix", suffix_inputs(1))
    assert request.cancelled
    with pytest.raises(BackendError, match="interrupted: prefix was not run"):
        backend.run("prefix", {"image": np.zeros((1, 3, SIZE, SIZE), np.float32)})


class _Request:
    """What the library's request does when it is cancelled while it runs."""

    def __init__(self, while_running: Any) -> None:
        self._while_running = while_running
        self.cancelled = False

    def set_tensor(self, name: str, tensor: Any) -> None:
        pass

    def start_async(self) -> None:
        pass

    def wait(self) -> None:
        self._while_running()
        raise RuntimeError("Infer Request was canceled")

    def cancel(self) -> None:
        self.cancelled = True


def test_the_library_lets_a_request_be_cancelled(tmp_path: Path) -> None:
    """Many calls one after another: the one that runs, or the next, is refused."""
    backend = open_folder(write_folder(tmp_path))
    threading.Timer(0.2, backend.interrupt).start()
    inputs = suffix_inputs(64)

    def work() -> None:
        for _ in range(100_000):
            backend.run("suffix", inputs)

    with pytest.raises(BackendError, match="interrupted: suffix was"):
        work()


def test_closed_backend_refuses(tmp_path: Path) -> None:
    backend = open_folder(write_folder(tmp_path))
    backend.close()
    with pytest.raises(BackendError, match="not loaded"):
        backend.run("suffix", suffix_inputs(1))
    backend.close()


def test_a_failure_names_graph_and_shapes(tmp_path: Path) -> None:
    backend = open_folder(write_folder(tmp_path))
    request = _Request(lambda: None)
    backend._graphs["suffix"]._idle[None] = [request]
    with pytest.raises(BackendError, match=r"suffix failed with inputs .*canceled"):
        backend.run("suffix", suffix_inputs(2))
    assert backend._graphs["suffix"]._idle[None] == []  # it is not used again
    assert len(backend.run("suffix", suffix_inputs(2))["embeddings"]) == 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"device": "TPU"}, BackendError, "device TPU is not available to OpenVINO; it has CPU"),
        ({"precision": "int8"}, InvalidInputError, "expected one of auto, f32, bf16, f16"),
        ({"threads": -1}, InvalidInputError, "threads: expected >= 0, got -1"),
    ],
)
def test_unusable_options(tmp_path: Path, options: dict, error: type, message: str) -> None:
    write_folder(tmp_path)
    with pytest.raises(error, match=message):
        open_folder(tmp_path, **options)


def test_precision_is_what_runs_or_the_start_fails(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    natural = open_folder(folder, precision="auto").precision
    assert natural in ("f32", "bf16", "f16")
    for asked in ("bf16", "f16"):
        if asked == natural:
            assert open_folder(folder, precision=asked).precision == asked
            continue
        with pytest.raises(BackendError, match=f"precision {asked} was asked for, but CPU"):
            open_folder(folder, precision=asked)


def test_a_signal_after_models_were_exchanged_is_survived(tmp_path: Path) -> None:
    """A new model is loaded before the old one goes; then a child of the process ends."""
    folder = write_folder(tmp_path)
    program = f"""
import faulthandler, gc, signal, subprocess, sys
faulthandler.enable()  # a signal stack of the process, as pytest and Python's handlers have it
signal.signal(signal.SIGCHLD, lambda *_: None)
from pathlib import Path
from amodal_ros.backends.openvino import compiling
from amodal_ros.backends.openvino import backend as openvino_backend
from amodal_ros.backends.openvino.backend import OpenVinoBackend
from amodal_ros.model_folder.manifest import load_manifest
manifest = load_manifest(Path({str(folder)!r}))
first = OpenVinoBackend(manifest, threads=1, precision="f32")
second = OpenVinoBackend(manifest, threads=1, precision="f32")
for backend in (first, second):
    backend.close()
del first, second, backend
gc.collect()
subprocess.run([sys.executable, "-c", ""], check=True)
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
