# SPDX-License-Identifier: Apache-2.0
"""Amodal SAM at inference (paper Eq. 3): encode an image once, then ask for masks of N objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from amodal_ros.backends.base import Backend
from amodal_ros.backends.factory import create_backend
from amodal_ros.backends.onnxruntime_backend import CPU_PROVIDER, Provider
from amodal_ros.boxes import clip_boxes
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
from amodal_ros.regions import object_regions
from amodal_ros.row_runs import joined
from amodal_ros.rows import best_rows, on_cpu
from amodal_ros.stopwatch import Stopwatch
from amodal_ros.types import AmodalPrediction, ImageFeatures, PointPrompt

DEFAULT_MAX_BATCH = 8
_STEPS = ("prior", "suffix", "decoder", "postprocess")
# Raw amodal masks (n, H, W) bool, visible masks (n, H, W) bool, predicted IoU (n,) float32.
_Masks = tuple[np.ndarray, np.ndarray, np.ndarray]


class AmodalPredictor:
    """Visible and amodal masks of objects that are given by boxes, points or both.

    It keeps no state between calls, so that several threads may use one predictor at once.

    Args:
        manifest: of the model folder.
        backend: the engine that runs the manifest's graphs.
        max_batch: rows given to the engine in one call; more objects take several calls.
        parallel: the engine runs two graphs faster beside each other than one after the other.

    Raises:
        InvalidInputError: for `max_batch` below 1.
        ManifestError: when the manifest's graphs lack a tensor that is needed here.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        backend: Backend,
        max_batch: int = DEFAULT_MAX_BATCH,
        *,
        parallel: bool = False,
    ) -> None:
        if max_batch < 1:
            raise InvalidInputError(f"max_batch: expected at least 1, got {max_batch}")
        check_graphs(manifest)
        self.manifest = manifest
        self.backend = backend
        self._max_batch = max_batch
        self._parallel = parallel
        self._broadcasts = decoder_broadcasts(manifest)

    @classmethod
    def from_model_dir(
        cls,
        path: str | Path,
        backend: str = "onnxruntime",
        *,
        providers: Sequence[Provider] = (CPU_PROVIDER,),
        intra_op_threads: int = 0,
        max_batch: int | None = None,
    ) -> AmodalPredictor:
        """Loads and checks a model folder.

        Args:
            path: the folder with `manifest.json`.
            backend: kind of engine, one of `amodal_ros.backends.factory.BACKENDS`.
            providers: with `onnxruntime` its execution providers, preferred first, each a name or
                a name with its options; each must be usable.
            intra_op_threads: with `onnxruntime` threads within an operator; 0: one per core.
            max_batch: see the class; None: what suits the engine (see `best_rows`).

        Raises:
            ManifestError: for a missing, truncated or altered file, or an unusable manifest.
            BackendError: when the engine cannot be loaded as asked.
            InvalidInputError: for an unknown backend or an unusable option.
        """
        manifest = load_manifest(path)
        if max_batch is None:
            max_batch = best_rows(backend, providers, intra_op_threads, DEFAULT_MAX_BATCH)
        engine = create_backend(
            manifest,
            backend,
            providers=providers,
            intra_op_threads=intra_op_threads,
            max_batch=max_batch,
        )
        return cls(manifest, engine, max_batch, parallel=not on_cpu(backend, providers))

    @property
    def encodes_ahead(self) -> bool:
        """Whether `encode` of the next image is best called while `predict` of this one runs.

        With a model of mode `roi` it never is: there all work depends on the objects.
        """
        return self._parallel and self.manifest.mode == "full"

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
        parts = self._parts(features, queries, self._runner(watch))
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

    def interrupt(self) -> None:
        """Ends a `predict` or `encode` in progress, where the engine can: see `Backend`."""
        self.backend.interrupt()

    def close(self) -> None:
        """Frees the engine."""
        self.backend.close()

    def _runner(self, watch: Stopwatch) -> GraphRunner:
        return GraphRunner(self.backend, self._max_batch, watch, self._broadcasts)

    def _parts(
        self, features: ImageFeatures, queries: ObjectQueries, runner: GraphRunner
    ) -> list[_Masks]:
        """Segments at most `max_batch` objects at a time, so that memory does not grow with N."""
        slices = even_slices(len(queries), self._max_batch)
        if features.image is not None:
            return [self._segment_crops(features.image, queries.part(s), runner) for s in slices]
        parts: list[_Masks] = []
        unadapted: Embeddings | None = None  # of the image: computed with the first objects
        for rows in slices:
            part = queries.part(rows)
            masks, unadapted = self._segment_shared(features, part, runner, unadapted)
            parts.append(masks)
        return parts

    def _segment_shared(
        self,
        features: ImageFeatures,
        queries: ObjectQueries,
        runner: GraphRunner,
        unadapted: Embeddings | None,
    ) -> tuple[_Masks, Embeddings]:
        """Mode `full`: the masks of some objects, and the image's unadapted embeddings."""
        encoded, geometry = features.encoded
        geometries = [geometry] * len(queries)
        with runner.watch.measure("prior"):
            prompts = decoder_prompts(queries, geometries, self.manifest.family)
        if queries.priors_known:
            boxes, blank = queries.boxes_xyxy, 0 if unadapted else 1
            priors = self._priors(queries, boxes, geometries, blank, runner)
            adapted = runner.suffix(encoded, priors, [0.0] * blank + [1.0] * len(queries))
            if unadapted is None:
                unadapted, adapted = _split(adapted, 1)
            visible, _ = self._decode(runner, unadapted, prompts, geometries)
        else:
            if unadapted is None:
                blank_prior = np.zeros((1, 1, *geometry.input_hw), dtype=np.float32)
                unadapted = runner.suffix(encoded, blank_prior, [0.0])
            visible, _ = self._decode(runner, unadapted, prompts, geometries)
            priors = self._priors(queries, mask_boxes(visible), geometries, 0, runner)
            adapted = runner.suffix(encoded, priors, [1.0] * len(queries))
        raw, iou = self._decode(runner, adapted, prompts, geometries)
        return (raw, visible, iou), unadapted

    def _segment_crops(
        self, image: np.ndarray, queries: ObjectQueries, runner: GraphRunner
    ) -> _Masks:
        """Mode `roi`: a crop per object goes through all graphs."""
        hw, size, count = queries.image_hw, self.manifest.image_size, len(queries)
        given = queries.boxes_xyxy
        boxes = self._boxes_of_points(image, queries, runner) if given is None else given
        queries = replace(queries, boxes_xyxy=clip_boxes(boxes, hw)[0])
        with runner.watch.measure("prior"):
            geometries = object_regions(queries, self.manifest.roi_factor or 1.0, size)
            # A box found by way of points says where to look; the points still say what for.
            asked = queries if given is not None else replace(queries, boxes_xyxy=None)
            prompts = decoder_prompts(asked, geometries, self.manifest.family)
        features = runner.prefix(self._preprocess(image, geometries, runner))
        priors = self._priors(queries, queries.boxes_xyxy, geometries, count, runner)
        both = runner.suffix(joined([features, features]), priors, [0.0] * count + [1.0] * count)
        unadapted, adapted = _split(both, count)
        visible, _ = self._decode(runner, unadapted, prompts, geometries)
        raw, iou = self._decode(runner, adapted, prompts, geometries)
        return raw, visible, iou

    def _boxes_of_points(
        self, image: np.ndarray, queries: ObjectQueries, runner: GraphRunner
    ) -> np.ndarray:
        """Boxes (N, 4) of what the points mark when all of the image is looked at.

        Where nothing is found the box is the whole image.
        """
        height, width = queries.image_hw
        whole = np.array([0, 0, width, height], dtype=np.float32)
        geometry = ResizeGeometry.roi(queries.image_hw, whole, self.manifest.image_size)
        features = runner.prefix(self._preprocess(image, [geometry], runner))
        blank = np.zeros((1, 1, *geometry.input_hw), dtype=np.float32)
        embeddings = runner.suffix(features, blank, [0.0])
        geometries = [geometry] * len(queries)
        prompts = decoder_prompts(queries, geometries, self.manifest.family)
        found, _ = self._decode(runner, embeddings, prompts, geometries)
        boxes = mask_boxes(found).astype(np.float32)
        boxes[~found.any(axis=(1, 2))] = whole
        return boxes

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


def _split(embeddings: Embeddings, row: int) -> tuple[Embeddings, Embeddings]:
    """The rows before `row`, and those from it on."""
    return (
        {name: values[:row] for name, values in embeddings.items()},
        {name: values[row:] for name, values in embeddings.items()},
    )
