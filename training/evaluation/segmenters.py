# SPDX-License-Identifier: Apache-2.0
"""One interface for what is evaluated: ONNX model folders and torch checkpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from amodal_ros.backends.base import Backend
from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.files import file_sha256
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.loading import cpu_rows
from amodal_ros.model_folder.manifest import MANIFEST_NAME, load_manifest
from amodal_ros.types import AmodalPrediction, PointPrompt


@dataclass(frozen=True)
class ModelDescription:
    """What a report says about the model.

    Attributes:
        name: for people.
        kind: ``onnx`` or ``torch``.
        path: as given.
        sha256: of ``manifest.json`` (which holds the digests of all other files) or of the
            checkpoint.
        trained: whether its adapters were trained.
        adapter_gain: factor on the adapters' residual; 1 is the amodal model, 0 the base model.
        details: base weights, precision and the like.
    """

    name: str
    kind: str
    path: str
    sha256: str
    trained: bool
    adapter_gain: float
    details: Mapping[str, Any]


class Segmenter(Protocol):
    """Encodes an image once and segments objects in it."""

    description: ModelDescription

    def encode(self, image_rgb: NDArray[np.uint8]) -> Any:
        """What does not depend on the objects, from (H, W, 3) uint8 RGB."""

    def predict(
        self,
        features: Any,
        boxes_xyxy: NDArray[np.float32] | None,
        prior_masks: Sequence[NDArray[np.bool_] | None],
        points: Sequence[PointPrompt] | None,
    ) -> AmodalPrediction:
        """Segment N objects given by boxes (N, 4) in original pixels, or by points.

        Args:
            features: from `encode`.
            boxes_xyxy: (N, 4) float32; None with points.
            prior_masks: M_spec of each object, (H, W) bool; None: its expanded box.
            points: of each object; None with boxes.
        """


class PredictorSegmenter:
    """The node's own predictor behind this interface."""

    def __init__(self, predictor: AmodalPredictor, description: ModelDescription) -> None:
        self._predictor = predictor
        self.description = description

    def encode(self, image_rgb: NDArray[np.uint8]) -> Any:
        """See `Segmenter`."""
        return self._predictor.encode(image_rgb)

    def predict(
        self,
        features: Any,
        boxes_xyxy: NDArray[np.float32] | None,
        prior_masks: Sequence[NDArray[np.bool_] | None],
        points: Sequence[PointPrompt] | None,
    ) -> AmodalPrediction:
        """See `Segmenter`."""
        return self._predictor.predict(features, boxes_xyxy, prior_masks, points=points)


class _ChangedInputsBackend(ABC):
    """An engine whose graphs get one input otherwise than the predictor gives it."""

    _input: ClassVar[str]

    def __init__(self, engine: Backend) -> None:
        self._engine = engine

    @abstractmethod
    def _changed(self, values: NDArray[Any]) -> NDArray[Any]:
        """What the graphs get in place of the input's values."""

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run one graph of the engine; those without the input get what they were given."""
        if self._input in inputs:
            inputs = {**inputs, self._input: self._changed(inputs[self._input])}
        return self._engine.run(graph, inputs)

    def interrupt(self) -> None:
        """Ask the engine to end."""
        self._engine.interrupt()

    def close(self) -> None:
        """Free the engine."""
        self._engine.close()


class ScaledGainBackend(_ChangedInputsBackend):
    """An engine whose graphs get every adapter gain times a factor.

    Suffix and, with adapters in it, decoder take one.
    """

    _input = "adapter_gain"

    def __init__(self, engine: Backend, factor: float) -> None:
        super().__init__(engine)
        self._factor = np.float32(factor)

    @property
    def name(self) -> str:
        """The engine's name and the factor."""
        return f"{self._engine.name}, adapter gain times {self._factor:g}"

    def _changed(self, values: NDArray[Any]) -> NDArray[Any]:
        return values * self._factor


class BlankPriorBackend(_ChangedInputsBackend):
    """An engine whose graphs get an empty M_spec: that of a model which was trained without."""

    _input = "prior_masks"

    @property
    def name(self) -> str:
        """The engine's name, and that M_spec is empty."""
        return f"{self._engine.name}, without M_spec"

    def _changed(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.zeros_like(values)


def open_model_folder(
    folder: Path,
    adapter_gain: float,
    threads: int = 0,
    *,
    second_look: bool = False,
    ask_twice: bool = True,
) -> PredictorSegmenter:
    """Open a model folder, to be run as the node runs it.

    Args:
        folder: with ``manifest.json``.
        adapter_gain: see `ModelDescription`.
        threads: within an operator; 0: the number of cores.
        second_look: see `AmodalPredictor`.
        ask_twice: likewise.

    Raises:
        ManifestError: a file is missing, altered or unusable.
        BackendError: the engine cannot be loaded.
    """
    manifest = load_manifest(folder)
    engine: Backend = OnnxRuntimeBackend(manifest, intra_op_threads=threads)
    if adapter_gain != 1.0:
        engine = ScaledGainBackend(engine, adapter_gain)
    description = ModelDescription(
        name=manifest.name,
        kind="onnx",
        path=str(folder),
        sha256=file_sha256(folder / MANIFEST_NAME),
        trained=manifest.trained,
        adapter_gain=adapter_gain,
        details={
            "mode": manifest.mode,
            **({"second_look": True} if second_look else {}),
            "ask_twice": ask_twice,
            "weights_precision": manifest.weights_precision,
            "graphs": {name: spec.file.sha256 for name, spec in manifest.graphs.items()},
            "source": dict(manifest.source),
        },
    )
    predictor = AmodalPredictor(
        manifest, engine, cpu_rows(threads), second_look=second_look, ask_twice=ask_twice
    )
    return PredictorSegmenter(predictor, description)
