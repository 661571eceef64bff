# SPDX-License-Identifier: Apache-2.0
"""The 16-bit arithmetic of an engine, on any CPU: what overflows on a GPU overflows here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from amodal_ros.backends.base import check_tensors
from amodal_ros.errors import BackendError
from amodal_ros.model_folder.manifest import ModelManifest
from export.graphs.files import temporary_file
from export.trt.graph_reading import ReadGraph
from export.trt.precision_plan import PrecisionPlan
from export.trt.typed_graph import rounding_graph


class RoundedBackend:
    """Runs typed graphs in ONNX Runtime with their rounding spelt out; see `rounding_graph`.

    Sums within a product are exact to float32, as they are on a GPU's tensor cores.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        graphs: Mapping[str, tuple[ReadGraph, PrecisionPlan]],
        folder: Path,
    ) -> None:
        self._specs = manifest.graphs
        precision = {plan.precision for _, plan in graphs.values()}
        self.name = f"{'/'.join(sorted(precision))} rounding on the CPU"
        self._sessions = {
            name: _open(rounding_graph(graph, plan), folder / f"{name}.onnx")
            for name, (graph, plan) in graphs.items()
        }

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs one graph; see `Backend.run`."""
        if graph not in self._sessions:
            raise BackendError(f"graph {graph!r} is not loaded; loaded: {sorted(self._sessions)}")
        spec = self._specs[graph]
        check_tensors(f"{graph} input", spec.inputs, inputs, {})
        names = [output.name for output in spec.outputs]
        values = self._sessions[graph].run(names, dict(inputs))
        return dict(zip(names, values, strict=True))

    def interrupt(self) -> None:
        """Nothing: it runs in scripts, which are ended by themselves."""

    def close(self) -> None:
        """Frees the sessions."""
        self._sessions.clear()


def _open(model: onnx.ModelProto, path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # A fused kernel would skip the rounding between the operators that it replaces.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_mem_pattern = False
    with temporary_file(model, path) as file:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
