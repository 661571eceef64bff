# SPDX-License-Identifier: Apache-2.0
"""Building where the GPU is, as each version of TensorRT has it; here they are all fakes."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.backends.tensorrt.engine_cache import VERIFIED, Machine, find_engine_set
from amodal_ros.backends.tensorrt.library import TensorRtLibrary
from amodal_ros.errors import BackendError
from amodal_ros.model_folder.manifest import load_manifest
from export import to_trt
from export.trt import build_set
from export.trt.build_set import build_engine_set
from export.trt.options import EngineOptions
from tests.backends.fake_gpu import FakeCuda
from tests.export.fake_builder import FakeBuilderTrt
from tests.export.trt_support import write_model

VERSIONS = ("8.6.2", "10.3.0", "10.13.3.9", "11.0.0")


class Desk:
    """A machine with a fake GPU and a fake TensorRT, and a tiny model."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.model = write_model(folder / "model")
        self.manifest = load_manifest(self.model)
        self.cuda = FakeCuda()
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(build_set, "CudaPython", lambda: self.cuda)
        self.use("10.3.0")

    def use(self, version: str) -> None:
        self.trt = FakeBuilderTrt(self.cuda, self.manifest, version)
        self.trt.model = OnnxRuntimeBackend(self.manifest, intra_op_threads=1)
        library = TensorRtLibrary("tensorrt", self.trt, version)
        self._monkeypatch.setattr(build_set, "load_library", lambda flavor: library)

    def build(self, **changes):
        return build_engine_set(replace(EngineOptions(model=self.model), **changes))

    @property
    def sets(self) -> list[Path]:
        return sorted(path for path in (self.model / "engines").iterdir() if path.is_dir())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


@pytest.mark.parametrize("version", VERSIONS)
def test_engines_are_built_and_verified_where_they_run(machine: Desk, version: str) -> None:
    machine.use(version)
    engines = machine.build(workspace_mib=64)
    key = engines.key
    assert (key.gpu_name, key.compute_capability) == ("Test GPU", "8.9")
    assert key.library_version == version
    assert engines.verification["status"] == VERIFIED
    assert engines.verification["machine"]["gpu_name"] == "Test GPU"
    assert engines.verification["report"]["passed"] is True
    assert machine.cuda.memory == {}  # nothing stays loaded
    config = machine.trt.configs_of["suffix"]
    assert config.pools == {"workspace": 64 << 20}
    assert config.profiles[0]["adapter_gain"] == ((1,), (4,), (8,))
    assert config.profiling_verbosity == "detailed"
    here = Machine(**engines.verification["machine"])
    found = find_engine_set(machine.model / "engines", machine.manifest, here, 8)
    assert found.directory == engines.directory


@pytest.mark.parametrize("version", VERSIONS)
def test_types_stand_in_the_graph_or_as_constraints(machine: Desk, version: str) -> None:
    machine.use(version)
    machine.build()
    old = version.startswith("8.")
    for graph in ("prefix", "suffix"):
        network = machine.trt.networks[graph]
        assert network.flags == (1 << 0 if old else 1 << 1)  # EXPLICIT_BATCH, STRONGLY_TYPED
        flags = machine.trt.configs_of[graph].flags
        assert flags == ({"FP16", "OBEY_PRECISION_CONSTRAINTS"} if old else set())
        kinds = {"HALF": "half", "FLOAT": "float"}
        tensors = [(layer.get_output(0), layer.chosen) for layer in network.layers]
        assert {tensor.dtype.name for tensor, _ in tensors} >= {"HALF", "FLOAT"}
        for tensor, chosen in tensors:
            kind = kinds[tensor.dtype.name]
            asked = {"precision": kind, "output 0": kind} if old else {}
            assert chosen in (asked, {}), tensor.name
        assert any(chosen for _, chosen in tensors) is old
    # The decoder has nothing in 16 bits, so that it is not allowed any; nor TF32 for float32.
    assert machine.trt.configs_of["decoder"].flags == set()


def test_fp32_is_float32_throughout(machine: Desk) -> None:
    engines = machine.build(precision="fp32")
    assert set(engines.build["tensors_in_16_bits"].values()) == {0}
    for graph, network in machine.trt.networks.items():
        types = {layer.get_output(0).dtype.name for layer in network.layers}
        assert "HALF" not in types
        assert "TF32" not in machine.trt.configs_of[graph].flags


def test_wrong_engines_are_not_written(machine: Desk) -> None:
    compute = machine.trt.model.run

    def run(graph, inputs):
        outputs = compute(graph, inputs)
        return {n: -v if n == "features" else v for n, v in outputs.items()}

    machine.trt.model = type("Wrong", (), {"run": staticmethod(run)})()
    with pytest.raises(BackendError, match="fail the precision gate, none is written"):
        machine.build()
    assert machine.sets == []
    assert machine.cuda.memory == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_engine_of_other_types_is_not_written(machine: Desk, version: str) -> None:
    machine.use(version)
    machine.trt.inspected["embedded"] = "Float"
    with pytest.raises(BackendError, match="prefix: the engine has embedded fp32, not fp16"):
        machine.build()
    assert machine.sets == []


def test_inspector_that_shows_nothing_is_said_so(machine: Desk, caplog) -> None:
    for graph in ("embedded", "scaled", "rows", "hidden"):
        machine.trt.inspected[graph] = "a type of tomorrow"
    machine.trt.inspected.update(dict.fromkeys(("normed", "active", "update"), "?"))
    machine.trt.inspected.update(dict.fromkeys(("sum", "features"), "?"))
    with caplog.at_level(logging.WARNING):
        machine.build()
    assert "prefix: 0 tensors of the engine have the type asked for" in caplog.text


def test_kernel_timings_are_kept_and_of_another_gpu_are_replaced(machine: Desk, caplog) -> None:
    machine.build()
    cache = machine.model / "engines" / "timing.cache"
    assert cache.read_bytes() == b"timed;" * 3  # each graph adds its own
    cache.write_bytes(b"another GPU")
    with caplog.at_level(logging.WARNING):
        machine.build(force=True)
    assert "fits neither this TensorRT nor this GPU; it is replaced" in caplog.text
    assert cache.read_bytes() == b"timed;" * 3
    elsewhere = machine.model / "my.cache"
    machine.build(force=True, timing_cache=elsewhere)
    assert elsewhere.read_bytes() == b"timed;" * 3


@pytest.mark.parametrize("version", ["8.6.2", "10.3.0"])
def test_progress_is_shown_where_tensorrt_tells(machine: Desk, version: str) -> None:
    machine.use(version)
    machine.build(show_progress=True)
    told = machine.trt.configs_of["prefix"].progress_monitor is not None
    assert told is (version == "10.3.0")


def test_command_says_that_it_was_verified(machine: Desk, caplog) -> None:
    with caplog.at_level(logging.INFO):
        assert to_trt.main(["--model", str(machine.model)]) == 0
    assert "passed: tensorrt/fp16 10.3.0 on Test GPU" in caplog.text
    assert "prefix: " in caplog.text
    assert "tensors of the engine have the type asked for" in caplog.text
    assert f"{machine.sets[0]}: " in caplog.text
    assert caplog.text.rstrip().endswith("verified")


def test_target_is_for_tensorrt_for_rtx(machine: Desk, caplog) -> None:
    with caplog.at_level(logging.INFO):
        assert to_trt.main(["--model", str(machine.model), "--target", "SM89"]) == 1
    assert "target SM89: only TensorRT for RTX builds for a GPU that is not there" in caplog.text
    assert machine.sets == []


def test_jetpack_5_is_refused_by_name(tmp_path: Path, monkeypatch, caplog) -> None:
    module = ModuleType("tensorrt")
    module.__version__ = "8.5.2.2"
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    model = write_model(tmp_path / "model")
    with caplog.at_level(logging.INFO):
        assert to_trt.main(["--model", str(model)]) == 1
    assert "TensorRT 8.5.2.2, as JetPack 5 and older have it, is not supported" in caplog.text
    assert not (model / "engines").exists()
