# SPDX-License-Identifier: Apache-2.0
"""`tensorrt` as it builds in 8.6, 10 and 11, on a fake GPU: what a version lacks is not there."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import onnx
from onnx import TensorProto

from amodal_ros.model_folder.manifest import ModelManifest
from tests.backends.fake_gpu import FakeCuda, FakeEngine, FakeTrt

TYPES = {
    TensorProto.FLOAT: "FLOAT",
    TensorProto.FLOAT16: "HALF",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.INT64: "INT64",
    TensorProto.INT32: "INT32",
    TensorProto.BOOL: "BOOL",
}


class Layer:
    """A layer with one tensor; `frozen`: its type cannot be chosen (TensorRT 11)."""

    num_outputs = 1

    def __init__(self, tensor: Any, frozen: bool) -> None:
        self._tensor, self._frozen = tensor, frozen
        self.chosen: dict[str, Any] = {}

    def get_output(self, index: int) -> Any:
        assert index == 0
        return self._tensor

    def set_output_type(self, index: int, kind: Any) -> None:
        self._choose(f"output {index}", kind)

    @property
    def precision(self) -> Any:
        return self.chosen.get("precision")

    @precision.setter
    def precision(self, kind: Any) -> None:
        self._choose("precision", kind)

    def _choose(self, what: str, kind: Any) -> None:
        assert not self._frozen, "no such attribute in TensorRT 11"
        self.chosen[what] = kind


class Network:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.name = ""
        self.layers: list[Layer] = []

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_layer(self, index: int) -> Layer:
        return self.layers[index]


class Config:
    def __init__(self) -> None:
        self.profiles: list[dict[str, Any]] = []
        self.flags: set[str] = {"TF32"}  # as TensorRT has it
        self.pools: dict[str, int] = {}
        self.profiling_verbosity = ""
        self.progress_monitor: Any = None
        self.cache: Any = None

    def add_optimization_profile(self, profile: Any) -> None:
        self.profiles.append(profile.shapes)

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.pools[pool] = size

    def create_timing_cache(self, content: bytes) -> Any:
        return SimpleNamespace(content=content, serialize=lambda: content + b"timed;")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return b"another GPU" not in cache.content


class Plan(bytes):
    @property
    def nbytes(self) -> int:
        return len(self)


class FakeBuilderTrt(FakeTrt):
    """What `FakeTrt` runs, built from ONNX files; engines' bytes are their graphs' names.

    Args:
        cuda: the fake GPU.
        manifest: of the model.
        version: as `10.3.0`.
    """

    LayerInformationFormat = SimpleNamespace(JSON="json")
    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
    float16, float32 = "half", "float"

    def __init__(self, cuda: FakeCuda, manifest: ModelManifest, version: str) -> None:
        super().__init__(cuda, manifest)
        self.__version__ = version
        self.major = int(version.split(".")[0])
        flags = {8: {"EXPLICIT_BATCH": 0}, 10: {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}}
        self.NetworkDefinitionCreationFlag = SimpleNamespace(
            **flags.get(self.major, {"STRONGLY_TYPED": 1})
        )
        old = ["FP16", "OBEY_PRECISION_CONSTRAINTS"] if self.major < 11 else []
        self.BuilderFlag = SimpleNamespace(**{name: name for name in ("TF32", *old)})
        if self.major > 8:
            self.IProgressMonitor = type("IProgressMonitor", (), {})
        self.networks: dict[str, Network] = {}
        self.configs_of: dict[str, Config] = {}
        self.inspected: dict[str, str] = {}  # types that the inspector shows, where others

    def Builder(self, log: Any) -> Any:  # noqa: N802  (TensorRT's name)
        def profile() -> Any:
            shapes: dict[str, Any] = {}

            def set_shape(name: str, *lengths: Any) -> None:
                shapes[name] = lengths

            return SimpleNamespace(shapes=shapes, set_shape=set_shape)

        return SimpleNamespace(
            create_network=Network,
            create_builder_config=Config,
            create_optimization_profile=profile,
            build_serialized_network=self._build,
        )

    def OnnxParser(self, network: Network, log: Any) -> Any:  # noqa: N802
        def parse(path: str) -> bool:
            model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
            graph = model.graph
            network.name = graph.name
            for info in (*graph.value_info, *graph.output):
                dtype = SimpleNamespace(name=TYPES[info.type.tensor_type.elem_type])
                tensor = SimpleNamespace(name=info.name, dtype=dtype)
                network.layers.append(Layer(tensor, frozen=self.major > 10))
            return True

        return SimpleNamespace(parse_from_file=parse, num_errors=0)

    def _build(self, network: Network, config: Config) -> Plan:
        if config.progress_monitor is not None:
            config.progress_monitor.phase_start("tactics", None, 1)
            assert config.progress_monitor.step_complete("tactics", 0)
            config.progress_monitor.phase_finish("tactics")
        self.networks[network.name] = network
        self.configs_of[network.name] = config
        return Plan(network.name.encode())

    def Runtime(self, log: Any) -> Any:  # noqa: N802
        runtime = super().Runtime(log)

        def deserialize(data: bytes) -> FakeEngine | None:
            engine = runtime.deserialize_cuda_engine(data)
            if engine is not None:
                engine.create_engine_inspector = lambda: SimpleNamespace(
                    get_engine_information=lambda _: self._inspect(engine.graph)
                )
            return engine

        return SimpleNamespace(deserialize_cuda_engine=deserialize)

    def _inspect(self, graph: str) -> str:
        words = {"FLOAT": "Float", "HALF": "Half", "BF16": "BFloat16"}
        tensors = [layer.get_output(0) for layer in self.networks[graph].layers]
        key = "Format/Datatype" if self.major < 11 else "DataType"
        outputs = [
            {"Name": t.name, key: self.inspected.get(t.name, words[t.dtype.name])}
            for t in tensors
            if t.dtype.name in words
        ]
        return json.dumps({"Layers": [{"Name": "all", "Inputs": [], "Outputs": outputs}]})
