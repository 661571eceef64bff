# SPDX-License-Identifier: Apache-2.0
"""The ways to get the masks of N objects that are compared; each takes an image and boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from amodal_ros.backends.base import Backend
from amodal_ros.backends.onnxruntime.session import import_onnxruntime, session_options
from amodal_ros.backends.openvino.compiling import core_of, import_openvino
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.cropped import full_masks
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.inference.graph_runner import Embeddings, GraphRunner, gives_visible
from amodal_ros.inference.postprocess import masks_from_logits, with_shared_outline
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.inference.preprocess import preprocess_image
from amodal_ros.inference.prompts import (
    ObjectQueries,
    check_queries,
    decoder_prompts,
    prior_boxes,
    prior_tensor,
)
from amodal_ros.inference.regions import object_regions
from amodal_ros.inference.stopwatch import Stopwatch
from amodal_ros.loading import EngineOptions, open_backend
from amodal_ros.model_folder.manifest import ModelManifest, load_manifest
from amodal_ros.model_folder.small import load_small

KINDS = ("ours", "small", "both", "naive", "base", "torch")
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # MobileSAM's, for `base`
_BASE_SIZE = 1024


class Contestant(Protocol):
    """One way to get the masks."""

    def run(self, image_rgb: np.ndarray, boxes_xyxy: np.ndarray) -> Any:
        """Masks of the boxes (N, 4) in the image (H, W, 3)."""

    def close(self) -> None:
        """Frees everything."""


@dataclass(frozen=True)
class Entry:
    """What to open a contestant with; simple values, so that it can be sent to another process.

    Attributes:
        kind: one of `KINDS`.
        folder: of the model, or of the base weights with `base` and `torch`.
        backend: engine of `ours`, `small`, `both` and `naive`.
        provider: ONNX Runtime's execution provider.
        threads: of the engine.
    """

    kind: str
    folder: str
    backend: str
    provider: str
    threads: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def open_contestant(entry: Entry) -> Contestant:
    """Opens a contestant.

    Raises:
        AmodalError: when its model or engine cannot be used as asked.
        ImportError: with `torch`, when torch or mobile_sam is missing.
    """
    if entry.kind in ("ours", "small", "both"):
        return Ours(entry)
    if entry.kind == "naive":
        return Naive(entry)
    if entry.kind == "base":
        return BaseSam(entry)
    if entry.kind == "torch":
        from export.benchmarking.official_predictor import OfficialPredictor

        device = "cuda" if _on_gpu(entry) else "cpu"
        return OfficialPredictor(Path(entry.folder), entry.threads, device)
    raise InvalidInputError(f"contestant: expected one of {KINDS}, got {entry.kind!r}")


def _on_gpu(entry: Entry) -> bool:
    if entry.backend == "onnxruntime":
        return entry.provider != "CPUExecutionProvider"
    return entry.backend != "openvino"


def _engine(entry: Entry) -> EngineOptions:
    return EngineOptions(entry.backend, providers=(entry.provider,), threads=entry.threads)


class Ours:
    """The predictor, as the node uses it.

    With kind `small` at the model's smaller size, with `both` at each size, one after the other.
    """

    def __init__(self, entry: Entry) -> None:
        manifest, options = load_manifest(entry.folder), _engine(entry)
        small = None
        if entry.kind != "ours":
            small = load_small(manifest)
            if small is None:
                raise InvalidInputError(f"{entry.folder}: expected graphs of a smaller size")
        if entry.kind == "small" and small is not None:
            manifest, small = small, None
        beside = None if small is None else _opened(small, options)
        self.predictor = _opened(manifest, options, beside)
        self.timings_ms: dict[str, float] = {}

    def run(self, image_rgb: np.ndarray, boxes_xyxy: np.ndarray) -> Any:
        """Amodal and visible masks; `timings_ms` holds what each step took."""
        features = self.predictor.encode(image_rgb)
        found = self.predictor.predict(features, boxes_xyxy)
        spent = dict(features.timings_ms)
        for step, value in found.timings_ms.items():
            spent[step] = spent.get(step, 0.0) + value
        self.timings_ms = spent
        if self.predictor.looks_small:
            self.predictor.predict(features, boxes_xyxy, small=[True] * len(boxes_xyxy))
        return found.amodal_masks, found.visible_masks

    def close(self) -> None:
        """Frees the engine."""
        self.predictor.close()


def _opened(
    manifest: ModelManifest, options: EngineOptions, small: AmodalPredictor | None = None
) -> AmodalPredictor:
    """A predictor whose engine nobody compared with fp32's masks."""
    backend = open_backend(manifest, options)
    return AmodalPredictor(
        manifest,
        backend,
        options.rows,
        parallel=not options.on_cpu,
        ask_twice=True,  # as the node asks
        fine_edges=True,
        small=small,
    )


class Naive:
    """The whole adapted encoder for every object, and the unadapted one for the visible masks.

    What a model without a cut costs: M_spec enters inside the encoder, so each object's embedding
    takes a whole encoder. The image is resized once. With mode `full` one unadapted pass serves
    the visible masks of all objects, and one call of the decoder gives them; with mode `roi` each
    object's crop needs an unadapted pass of its own. A model that gives both masks in one pass
    needs none here either.
    """

    def __init__(self, entry: Entry) -> None:
        self._manifest: ModelManifest = load_manifest(entry.folder)
        self._backend: Backend = open_backend(self._manifest, _engine(entry))
        self._one_pass = gives_visible(self._manifest)

    def run(self, image_rgb: np.ndarray, boxes_xyxy: np.ndarray) -> Any:
        """Amodal and visible masks."""
        manifest, hw = self._manifest, (image_rgb.shape[0], image_rgb.shape[1])
        watch = Stopwatch("prefix", "suffix", "decoder")
        runner = GraphRunner.of(manifest, self._backend, 8, watch)
        queries = check_queries(hw, boxes_xyxy, None, None)
        geometries = self._geometries(queries)
        image = self._input(image_rgb, geometries[0]) if manifest.mode == "full" else None
        amodal, visible = [], []
        if image is not None and not self._one_pass:
            embeddings = self._encode(runner, image, queries.part(slice(1)), geometries, 0.0)
            visible.append(self._decode(runner, embeddings, queries, geometries)[0])
        for row, geometry in enumerate(geometries):
            one, place = queries.part(slice(row, row + 1)), [geometry]
            tensor = self._input(image_rgb, geometry) if image is None else image
            if image is None and not self._one_pass:
                plain = self._encode(runner, tensor, one, place, 0.0)
                visible.append(self._decode(runner, plain, one, place)[0])
            embeddings = self._encode(runner, tensor, one, place, 1.0)
            raw, seen = self._decode(runner, embeddings, one, place)
            amodal.append(raw)
            if seen is not None:
                visible.append(seen)
        return np.concatenate(amodal), np.concatenate(visible)

    def close(self) -> None:
        """Frees the engine."""
        self._backend.close()

    def _geometries(self, queries: ObjectQueries) -> list[ResizeGeometry]:
        size, hw = self._manifest.image_size, queries.image_hw
        if self._manifest.mode == "roi":
            return object_regions(queries, self._manifest.roi_factor or 1.0, size)
        place = getattr(ResizeGeometry, self._manifest.geometry)(hw, size)
        return [place] * len(queries)

    def _input(self, image_rgb: np.ndarray, geometry: ResizeGeometry) -> np.ndarray:
        return preprocess_image(image_rgb, geometry, self._manifest.mean, self._manifest.std)

    def _encode(
        self,
        runner: GraphRunner,
        image: np.ndarray,
        queries: ObjectQueries,
        geometries: list[ResizeGeometry],
        gain: float,
    ) -> Embeddings:
        """The whole encoder for one object."""
        boxes = queries.boxes_xyxy
        if boxes is None:
            raise InvalidInputError("boxes_xyxy: expected boxes, got None")
        boxes = prior_boxes(boxes, self._manifest.prior_expand, queries.image_hw)
        prior = prior_tensor(queries, boxes, geometries[:1])
        return runner.suffix(runner.prefix(image), prior, [gain])

    def _decode(
        self,
        runner: GraphRunner,
        embeddings: Embeddings,
        queries: ObjectQueries,
        geometries: list[ResizeGeometry],
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Masks (n, H, W) bool, and visible ones of a model that gives both at once."""
        prompts = decoder_prompts(queries, geometries, self._manifest.family)
        found = runner.decoder(embeddings, prompts)
        logits, seen = found.logits, found.visible_logits
        if seen is None:
            return self._masks(logits, geometries), None
        if self._manifest.shared_outline:
            logits = with_shared_outline(logits, seen)
        return self._masks(logits, geometries), self._masks(seen, geometries)

    def _masks(self, logits: np.ndarray, geometries: list[ResizeGeometry]) -> np.ndarray:
        masks = masks_from_logits(logits, geometries, self._manifest.mask_threshold)
        return full_masks(masks, geometries[0].original_hw)


Call = Callable[[dict[str, np.ndarray]], np.ndarray]


def _base_graph(entry: Entry, name: str, output: str) -> Call:
    """One of the base model's files in the entry's engine; it gives one of its outputs."""
    path = str(Path(entry.folder) / name)
    if entry.backend == "openvino":
        openvino = import_openvino()
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        options |= {"INFERENCE_NUM_THREADS": entry.threads, "ENABLE_CPU_PINNING": False}
        compiled = core_of(openvino).compile_model(path, "CPU", options)
        return lambda inputs: np.array(compiled(inputs)[output])
    ort = import_onnxruntime()
    session = ort.InferenceSession(
        path,
        sess_options=session_options(ort, entry.threads, "all"),
        providers=[entry.provider],
    )
    return lambda inputs: np.asarray(session.run([output], inputs)[0])


class BaseSam:
    """MobileSAM's own two ONNX files: encoded once, one run of the decoder for each box.

    In ONNX Runtime or OpenVINO. Visible masks only; no amodal model can be cheaper.
    """

    def __init__(self, entry: Entry) -> None:
        self._encoder: Call | None = _base_graph(entry, "encoder.onnx", "output")
        self._decoder: Call | None = _base_graph(entry, "sam.onnx", "masks")

    def run(self, image_rgb: np.ndarray, boxes_xyxy: np.ndarray) -> Any:
        """Visible masks; the graph itself brings them to the image's size."""
        hw = (image_rgb.shape[0], image_rgb.shape[1])
        geometry = ResizeGeometry.letterbox(hw, _BASE_SIZE)
        tensor = preprocess_image(image_rgb, geometry, _MEAN, _STD)
        if self._encoder is None or self._decoder is None:
            raise InvalidInputError("the contestant is closed")
        embedding = self._encoder({"input": tensor})
        inputs = {
            "image_embeddings": embedding,
            "point_labels": np.array([[2, 3]], np.float32),
            "mask_input": np.zeros((1, 1, _BASE_SIZE // 4, _BASE_SIZE // 4), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            "orig_im_size": np.array(hw, np.float32),
        }
        found = []
        for corners in geometry.points_to_input(boxes_xyxy.reshape(-1, 1, 2, 2)):
            masks = self._decoder({**inputs, "point_coords": corners})
            found.append(masks[0, 0] > 0)
        return np.stack(found)

    def close(self) -> None:
        """Frees the graphs."""
        self._encoder = self._decoder = None
