# SPDX-License-Identifier: Apache-2.0
"""Amodal SAM at inference (paper Eq. 3): encode an image once, then ask for masks of N objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from amodal_ros.backends.base import Backend
from amodal_ros.backends.onnxruntime_backend import CPU_PROVIDER, OnnxRuntimeBackend
from amodal_ros.boxes import clip_boxes, expand_boxes
from amodal_ros.checks import check_image
from amodal_ros.errors import InvalidInputError
from amodal_ros.geometry import ResizeGeometry
from amodal_ros.graph_runner import (
    Embeddings,
    GraphRunner,
    check_graphs,
    decoder_broadcasts,
    even_slices,
)
from amodal_ros.manifest import ModelManifest, load_manifest
from amodal_ros.masks import mask_boxes
from amodal_ros.postprocess import masks_from_logits
from amodal_ros.preprocess import preprocess_image
from amodal_ros.prompts import (
    DecoderPrompts,
    ObjectQueries,
    check_queries,
    decoder_prompts,
    prior_boxes,
    prior_tensor,
)
from amodal_ros.stopwatch import Stopwatch
from amodal_ros.types import AmodalPrediction, ImageFeatures, PointPrompt

DEFAULT_MAX_BATCH = 8
_STEPS = ("prior", "suffix", "decoder", "postprocess")


class AmodalPredictor:
    """Visible and amodal masks of objects that are given by boxes, points or both.

    It keeps no state between calls, so that several threads may use one predictor at once.

    Args:
        manifest: of the model folder.
        backend: the engine that runs the manifest's graphs.
        max_batch: rows given to the engine in one call; more objects take several calls.

    Raises:
        InvalidInputError: for `max_batch` below 1.
        ManifestError: when the manifest's graphs lack a tensor that is needed here.
    """

    def __init__(
        self, manifest: ModelManifest, backend: Backend, max_batch: int = DEFAULT_MAX_BATCH
    ) -> None:
        if max_batch < 1:
            raise InvalidInputError(f"max_batch: expected at least 1, got {max_batch}")
        check_graphs(manifest)
        self.manifest = manifest
        self.backend = backend
        self._max_batch = max_batch
        self._broadcasts = decoder_broadcasts(manifest)

    @classmethod
    def from_model_dir(
        cls,
        path: str | Path,
        backend: str = "onnxruntime",
        *,
        providers: Sequence[str] = (CPU_PROVIDER,),
        intra_op_threads: int = 0,
        max_batch: int = DEFAULT_MAX_BATCH,
    ) -> AmodalPredictor:
        """Loads and checks a model folder.

        Args:
            path: the folder with `manifest.json`.
            backend: kind of engine: `onnxruntime`.
            providers: ONNX Runtime's execution providers, preferred first; each must be usable.
            intra_op_threads: threads within an operator; 0: the number of cores.
            max_batch: see the class.

        Raises:
            ManifestError: for a missing, truncated or altered file, or an unusable manifest.
            BackendError: when the engine cannot be loaded as asked.
            InvalidInputError: for an unknown backend or an unusable option.
        """
        if backend != "onnxruntime":
            raise InvalidInputError(f"backend: expected 'onnxruntime', got {backend!r}")
        manifest = load_manifest(path)
        engine = OnnxRuntimeBackend(manifest, providers, intra_op_threads)
        return cls(manifest, engine, max_batch)

    def encode(self, image_rgb: np.ndarray) -> ImageFeatures:
        """Computes what does not depend on the objects.

        With a model of mode `roi` that is nothing: the image is kept, not copied, for `predict`.

        Args:
            image_rgb: (H, W, 3) uint8, RGB, any size; need not be contiguous.

        Raises:
            InvalidInputError: for anything else.
            BackendError: when the engine fails.
        """
        image = check_image(image_rgb)
        watch = Stopwatch("preprocess", "prefix")
        hw = image.shape[0], image.shape[1]
        if self.manifest.mode == "roi":
            return ImageFeatures(None, image, None, hw, watch.timings_ms)
        geometry = self._whole_image(hw)
        runner = self._runner(watch)
        features = runner.prefix(self._preprocess(image, [geometry], runner))
        return ImageFeatures(features, None, geometry, hw, watch.timings_ms)

    def predict(
        self,
        features: ImageFeatures,
        boxes_xyxy: ArrayLike | None = None,
        prior_masks: Sequence[np.ndarray | None] | None = None,
        *,
        points: Sequence[PointPrompt | None] | None = None,
    ) -> AmodalPrediction:
        """Segments N objects; N = 0 is valid and runs no engine.

        Args:
            features: of the image, from `encode`.
            boxes_xyxy: (N, 4), original pixels, each overlapping the image; None: points only.
            prior_masks: M_spec of each object, (H, W) bool with at least one pixel. None: its box,
                or with points only that of its unadapted mask, times `prior_expand`.
            points: point prompt of each object; None: the object has none.

        Raises:
            InvalidInputError: naming the argument, the object's index and what came.
            BackendError: when the engine fails.
        """
        queries = check_queries(features.original_hw, boxes_xyxy, prior_masks, points)
        steps = _STEPS if features.image is None else ("preprocess", "prefix", *_STEPS)
        watch = Stopwatch(*steps)
        if not len(queries):
            return AmodalPrediction.empty(features.original_hw, watch.timings_ms)
        runner = self._runner(watch)
        parts = [
            self._segment(features, queries.part(rows), runner)
            for rows in even_slices(len(queries), self._max_batch)
        ]
        with watch.measure("postprocess"):
            raw, visible, iou = (
                values[0] if len(values) == 1 else np.concatenate(values)
                for values in zip(*parts, strict=True)
            )
        return AmodalPrediction(raw, visible, iou, watch.timings_ms)

    def warm_up(self, objects: int = 1) -> None:
        """Runs the whole chain once on a grey image, so that the first real frame is not slower.

        Args:
            objects: how many.

        Raises:
            BackendError: when the engine fails.
        """
        size = self.manifest.image_size
        features = self.encode(np.full((size, size, 3), 127, dtype=np.uint8))
        self.predict(features, np.tile([[0.25, 0.25, 0.75, 0.75]], (objects, 1)) * size)

    def close(self) -> None:
        """Frees the engine."""
        self.backend.close()

    def _runner(self, watch: Stopwatch) -> GraphRunner:
        return GraphRunner(self.backend, self._max_batch, watch, self._broadcasts)

    def _segment(
        self, features: ImageFeatures, queries: ObjectQueries, runner: GraphRunner
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Raw amodal masks, visible masks and predicted IoU of at most `max_batch` objects."""
        encoded, geometries = self._encoded(features, queries, runner)
        with runner.watch.measure("prior"):
            prompts = decoder_prompts(queries, geometries)
        if queries.priors_known:
            priors = self._priors(queries, queries.boxes_xyxy, geometries, len(encoded), runner)
            unadapted, adapted = self._both_passes(runner, encoded, priors)
            visible, _ = self._decode(runner, unadapted, prompts, geometries)
        else:
            blank = np.zeros((len(encoded), 1, *geometries[0].input_hw), dtype=np.float32)
            unadapted = runner.suffix(encoded, blank, [0.0] * len(encoded))
            visible, _ = self._decode(runner, unadapted, prompts, geometries)
            priors = self._priors(queries, mask_boxes(visible), geometries, 0, runner)
            adapted = runner.suffix(encoded, priors, [1.0] * len(queries))
        raw, iou = self._decode(runner, adapted, prompts, geometries)
        return raw, visible, iou

    def _encoded(
        self, features: ImageFeatures, queries: ObjectQueries, runner: GraphRunner
    ) -> tuple[np.ndarray, list[ResizeGeometry]]:
        """The features that the objects share or, with mode `roi`, those of each object's crop."""
        if features.image is not None:
            geometries = self._regions(queries)
            return runner.prefix(self._preprocess(features.image, geometries, runner)), geometries
        encoded, geometry = features.encoded
        return encoded, [geometry] * len(queries)

    def _regions(self, queries: ObjectQueries) -> list[ResizeGeometry]:
        """With mode `roi`: what to crop for each object; the whole image with points only."""
        hw, size = queries.image_hw, self.manifest.image_size
        if queries.boxes_xyxy is None:
            whole = np.array([0, 0, hw[1], hw[0]], dtype=np.float32)
            return [ResizeGeometry.roi(hw, whole, size)] * len(queries)
        boxes = clip_boxes(queries.boxes_xyxy, hw)[0]
        regions = expand_boxes(boxes, self.manifest.roi_factor or 1.0)
        return [ResizeGeometry.roi(hw, region, size) for region in regions]

    def _whole_image(self, image_hw: tuple[int, int]) -> ResizeGeometry:
        """With mode `full`: how an image lies in the input."""
        if self.manifest.geometry == "letterbox":
            return ResizeGeometry.letterbox(image_hw, self.manifest.image_size)
        return ResizeGeometry.stretch(image_hw, self.manifest.image_size)

    def _preprocess(
        self,
        image: np.ndarray,
        geometries: Sequence[ResizeGeometry],
        runner: GraphRunner,
    ) -> np.ndarray:
        """One input (n, 3, S, S) for each geometry."""
        with runner.watch.measure("preprocess"):
            tensors = [
                preprocess_image(image, geometry, self.manifest.mean, self.manifest.std)
                for geometry in geometries
            ]
            return tensors[0] if len(tensors) == 1 else np.concatenate(tensors)

    def _priors(
        self,
        queries: ObjectQueries,
        boxes: np.ndarray | None,
        geometries: Sequence[ResizeGeometry],
        blank_rows: int,
        runner: GraphRunner,
    ) -> np.ndarray:
        """`blank_rows` empty rows, then M_spec of each object: (rows, 1, S, S) float32."""
        with runner.watch.measure("prior"):
            if boxes is not None:
                boxes = prior_boxes(boxes, self.manifest.prior_expand, queries.image_hw)
            return prior_tensor(queries, boxes, geometries, blank_rows)

    def _decode(
        self,
        runner: GraphRunner,
        embeddings: Embeddings,
        prompts: Sequence[DecoderPrompts],
        geometries: Sequence[ResizeGeometry],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Masks (n, H, W) bool of the original image and predicted IoU (n,)."""
        logits, iou = runner.decoder(embeddings, prompts)
        with runner.watch.measure("postprocess"):
            return masks_from_logits(logits, geometries, self.manifest.mask_threshold), iou

    def _both_passes(
        self, runner: GraphRunner, features: np.ndarray, priors: np.ndarray
    ) -> tuple[Embeddings, Embeddings]:
        """Embeddings of the pass with gain 0 (visible masks) and with gain 1 (amodal masks).

        Args:
            runner: of the graphs.
            features: (1, C, h, w) of the image, or (n, C, h, w) of n crops.
            priors: as many empty rows as there are features, then the objects' n rows.

        Returns:
            Embeddings with as many rows as there are features, and with n rows.
        """
        blank, count = len(features), len(priors) - len(features)
        if self.manifest.mode == "roi":
            unadapted = runner.suffix(features, priors[:blank], [0.0] * blank)
            return unadapted, runner.suffix(features, priors[blank:], [1.0] * count)
        both = runner.suffix(features, priors, [0.0] + [1.0] * count)
        unadapted = {name: values[:1] for name, values in both.items()}
        return unadapted, {name: values[1:] for name, values in both.items()}
