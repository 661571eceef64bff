# SPDX-License-Identifier: Apache-2.0
"""Model folders whose matrix products or convolutions are computed in int8 on a CPU.

ONNX Runtime's own quantiser does the work. `dynamic`: weights int8, activations scaled anew in
each run. `static`: activations scaled by what calibration has seen (QDQ).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amodal_ros.backends.base import Backend
from amodal_ros.backends.onnxruntime.session import import_onnxruntime
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import (
    MANIFEST_NAME,
    ModelManifest,
    file_sha256,
    load_manifest,
)
from amodal_ros.verification.report import Scene

Inputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Variant:
    """One way to quantise.

    Attributes:
        method: `dynamic` or `static`.
        graphs: which are quantised; the others stay as they are.
        operators: which of their operators.
        symmetric: activations without a zero point: all that TensorRT, so a Jetson, has.
    """

    method: str
    graphs: tuple[str, ...]
    operators: tuple[str, ...]
    symmetric: bool = False

    def __str__(self) -> str:
        """As `static int8 of MatMul, Conv in prefix, suffix`."""
        how = f"symmetric {self.method}" if self.symmetric else self.method
        return f"{how} int8 of {', '.join(self.operators)} in {', '.join(self.graphs)}"


# From the boldest to the most careful. The decoder stays fp32: it takes a twentieth of the time.
VARIANTS = (
    Variant("static", ("prefix", "suffix"), ("MatMul", "Conv"), symmetric=True),
    Variant("static", ("suffix",), ("MatMul",), symmetric=True),
    Variant("static", ("prefix", "suffix"), ("MatMul", "Conv")),
    Variant("static", ("prefix", "suffix"), ("MatMul",)),
    Variant("dynamic", ("prefix", "suffix"), ("MatMul",)),
    Variant("dynamic", ("suffix",), ("MatMul",)),
)


class _Recorder:
    """An engine that keeps what its graphs were given."""

    name = "recorder"

    def __init__(self, engine: Backend) -> None:
        self._engine = engine
        self.inputs: dict[str, list[Inputs]] = {}

    def run(self, graph: str, inputs: Inputs) -> dict[str, np.ndarray]:
        self.inputs.setdefault(graph, []).append(
            {name: np.array(value) for name, value in inputs.items()}
        )
        return self._engine.run(graph, inputs)

    def interrupt(self) -> None:
        self._engine.interrupt()

    def close(self) -> None:
        self._engine.close()


def record_inputs(
    manifest: ModelManifest, engine: Backend, scenes: Sequence[Scene]
) -> dict[str, list[Inputs]]:
    """What each graph is given when the predictor answers the scenes, object by object."""
    recorder = _Recorder(engine)
    predictor = AmodalPredictor(manifest, recorder, max_batch=1)
    for scene in scenes:
        features = predictor.encode(scene.image_rgb)
        predictor.predict(features, scene.boxes_xyxy, scene.prior_masks)
    return recorder.inputs


def write_variant(
    variant: Variant, manifest: ModelManifest, recorded: Mapping[str, list[Inputs]], out: Path
) -> ModelManifest:
    """Writes a model folder with some graphs in int8.

    Args:
        variant: how.
        manifest: of the folder to start from.
        recorded: of `record_inputs`, for the static method.
        out: the new folder, which must not exist.
    """
    out.mkdir(parents=True)
    for path in manifest.directory.iterdir():
        if path.is_file():
            shutil.copyfile(path, out / path.name)
    content = json.loads((out / MANIFEST_NAME).read_text(encoding="utf-8"))
    for graph in variant.graphs:
        path = out / manifest.graphs[graph].file.file
        _quantise(variant, path, recorded.get(graph, []))
        entry = content["graphs"][graph]
        entry.update(sha256=file_sha256(path), bytes=path.stat().st_size)
    content["compute_precision"] = "int8"
    content["source"]["int8"] = str(variant)
    (out / MANIFEST_NAME).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return load_manifest(out)


def _quantise(variant: Variant, path: Path, inputs: Sequence[Inputs]) -> None:
    """Replaces an ONNX file by its quantised form."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    with tempfile.TemporaryDirectory(prefix="int8-") as scratch:
        plain, done = Path(scratch) / "plain.onnx", Path(scratch) / "int8.onnx"
        _fold_constants(path, plain)
        common: dict[str, Any] = {
            "op_types_to_quantize": list(variant.operators),
            "per_channel": True,
            "weight_type": QuantType.QInt8,
        }
        if variant.method == "dynamic":
            quantize_dynamic(plain, done, **common)
        else:
            quantize_static(
                plain,
                done,
                _reader(inputs),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QInt8 if variant.symmetric else QuantType.QUInt8,
                extra_options={"ActivationSymmetric": variant.symmetric},
                **common,
            )
        shutil.copyfile(done, path)


def _fold_constants(path: Path, out: Path) -> None:
    """Writes a graph without the casts of weights stored in half, which hide them as constants."""
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    ort.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])


def _reader(inputs: Sequence[Inputs]) -> Any:
    """What ONNX Runtime's calibration reads the recorded inputs from."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """One after another, then None."""

        def __init__(self) -> None:
            self._rest: Iterator[Inputs] = iter(inputs)

        def get_next(self) -> Inputs | None:
            """The next run's inputs."""
            return next(self._rest, None)

    return Reader()
