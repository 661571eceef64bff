# SPDX-License-Identifier: Apache-2.0
"""Amodal SAM at inference (paper Eq. 3): encode an image once, then ask for masks of N objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from amodal_ros.backends.base import Backend, RowRuns
from amodal_ros.checks import check_image
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.inference.following import follow_objects
from amodal_ros.inference.graph_runner import (
    Embeddings,
    GraphRunner,
    check_graphs,
    even_slices,
)
from amodal_ros.inference.memory_passes import MemoryPasses, check_memory
from amodal_ros.inference.prompts import ObjectQueries, check_queries
from amodal_ros.inference.second_look import cut_off, joined, wider_regions
from amodal_ros.inference.segmenter import Masks, ObjectSegmenter
from amodal_ros.inference.stopwatch import Stopwatch
from amodal_ros.inference.two_sizes import ask_two_sizes, check_small_rows
from amodal_ros.model_folder.manifest import ModelManifest
from amodal_ros.model_folder.memory import MemoryManifest
from amodal_ros.model_folder.small import check_small
from amodal_ros.object_features import ObjectFeatures
from amodal_ros.object_memory import ObjectMemory
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
        parallel: the engine runs two graphs faster beside each other than one after the other.
        notes: what is known of the engine, for people (see `amodal_ros.loading`).
        second_look: with mode `roi`, an object whose mask reaches the border of its region is
            looked at once more in a wider one (`inference/second_look.py`).
        ask_twice: the decoder is asked again for visible masks that are unsteady
            (`inference/second_question.py`); of a model that gives both masks in one pass.
        fine_edges: masks end at the edges of the picture (`inference/fine_edges.py`); of a model
            of mode `roi` that gives both masks in one pass.
        memory: of a SAM 2 whose video path the engine has loaded as well: `follow` uses it.
        small: the same model at a smaller size, for regions that `predict` is asked to look at in
            it. It is closed with this one.

    Raises:
        InvalidInputError: for `max_batch` below 1.
        ManifestError: when the manifest's graphs lack a tensor that is needed here, or `small` is
            no smaller size of the same model.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        backend: Backend,
        max_batch: int = DEFAULT_MAX_BATCH,
        *,
        parallel: bool = False,
        notes: Mapping[str, str] | None = None,
        second_look: bool = False,
        ask_twice: bool = False,
        fine_edges: bool = False,
        memory: MemoryManifest | None = None,
        small: AmodalPredictor | None = None,
    ) -> None:
        if max_batch < 1:
            raise InvalidInputError(f"max_batch: expected at least 1, got {max_batch}")
        check_graphs(manifest)
        if memory is not None:
            check_memory(manifest, memory)
        if small is not None:
            check_small(small.manifest, manifest)
        self.manifest: ModelManifest = manifest
        self.memory = memory
        self.backend = backend
        self.notes = dict(notes or {})
        self._max_batch = max_batch
        self._parallel = parallel
        self._second_look = second_look
        self._ask_twice = ask_twice
        self._fine_edges = fine_edges
        self._small = small

    @property
    def looks_small(self) -> bool:
        """Whether `predict` can look at objects in smaller regions, which take less time."""
        return self._small is not None

    @property
    def small_size(self) -> int | None:
        """Side of the smaller input, in pixels; None: there is none."""
        return None if self._small is None else self._small.manifest.image_size

    @property
    def remembers(self) -> bool:
        """Whether the model has a memory of its own, by which `follow` follows objects."""
        return self.memory is not None

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
        segmenter = self._segmenter(watch)
        features = segmenter.runner.prefix(segmenter.preprocess(image, [geometry]))
        return ImageFeatures(features, None, geometry, hw, watch.timings_ms)

    def predict(
        self,
        features: ImageFeatures,
        boxes_xyxy: ArrayLike | None = None,
        prior_masks: Sequence[np.ndarray | CroppedMask | None] | None = None,
        *,
        points: Sequence[PointPrompt | None] | None = None,
        small: ArrayLike | None = None,
        tight: ArrayLike | None = None,
    ) -> AmodalPrediction:
        """Segments N objects; N = 0 is valid and runs no engine.

        Args:
            features: of the image, from `encode`.
            boxes_xyxy: (N, 4), original pixels, each overlapping the image; None: points only.
            prior_masks: M_spec of each object, cropped or (H, W) bool, not empty. None: its box,
                with points only that of its visible mask, times `prior_expand`.
            points: point prompt of each object; None: the object has none.
            small: N: the region of this object is brought to the model's smaller size, which takes
                less time and is less accurate; None: of no object. See `looks_small`.
            tight: N: the prior mask of this object is its own of a moment ago, so its region is
                but as large as that needs, and it is cut out more finely; None: of no object.
                Without regions (mode `full`) it changes nothing.

        Raises:
            InvalidInputError: naming the argument, the object's index and what came.
            BackendError: when the engine fails.
        """
        queries = check_queries(features.original_hw, boxes_xyxy, prior_masks, points, tight)
        by_small, rows = self._small, check_small_rows(small, len(queries), self.looks_small)
        if by_small is None or not rows.any():
            return self._predict(features, queries)
        if rows.all():
            return by_small._predict(features, queries)
        return ask_two_sizes(
            *(queries, rows),
            lambda part: self._predict(features, part),
            lambda part: by_small._predict(features, part),
        )

    def _predict(self, features: ImageFeatures, queries: ObjectQueries) -> AmodalPrediction:
        """Masks of objects at this size."""
        steps = _STEPS if features.image is None else ("preprocess", "prefix", *_STEPS)
        watch = Stopwatch(*steps)
        if not len(queries):
            return AmodalPrediction.empty(features.original_hw, watch.timings_ms)
        found = self._answer(features, queries, watch)
        if not self._second_look or features.image is None or queries.boxes_xyxy is None:
            return found
        rows = cut_off(found)
        if not len(rows):
            return found
        regions = wider_regions(found, rows, self.manifest.image_size)
        again = self._answer(features, queries.guided(rows, found.raw_amodal), watch, regions)
        return joined(found, rows, again)

    def follow(
        self,
        features: ImageFeatures,
        boxes_xyxy: ArrayLike,
        prior_masks: Sequence[np.ndarray | CroppedMask | None],
        memories: Sequence[ObjectMemory | None],
        prompted: Sequence[bool],
        *,
        points: Sequence[PointPrompt | None] | None = None,
    ) -> AmodalPrediction:
        """Segments N objects of a stream with SAM 2's own memory (paper 3.5, A.1.4).

        Args:
            features: of the image, from `encode`.
            boxes_xyxy: (N, 4), see `predict`; a prompt where `prompted` says so, and of each
                object of which nothing is remembered.
            prior_masks: M_spec of each object; None: its box, times `prior_expand`.
            memories: what is remembered of each object: `AmodalPrediction.remembered` of the last
                image; None, or another model's: nothing.
            prompted: N: box and points are a prompt, which sets the object right.
            points: point prompt beside each box; None: the object has none.

        Returns:
            With `remembered`.

        Raises:
            InvalidInputError: see `predict`; when the model has no memory.
            BackendError: when the engine fails.
        """
        if self.memory is None:
            raise InvalidInputError(f"{self.manifest.name}: expected memory graphs, got none")
        queries = check_queries(features.original_hw, boxes_xyxy, prior_masks, points)
        for name, values in (("memories", memories), ("prompted", prompted)):
            if len(values) != len(queries):
                raise InvalidInputError(
                    f"{name}: expected {len(queries)} entries, got {len(values)}"
                )
        watch = Stopwatch(*_STEPS, "memory")
        if not len(queries):
            return AmodalPrediction.empty(features.original_hw, watch.timings_ms)
        segmenter = self._segmenter(watch)
        passes = MemoryPasses(self.memory, segmenter.runner)
        return follow_objects(segmenter, passes, features, queries, memories, prompted)

    def _answer(
        self,
        features: ImageFeatures,
        queries: ObjectQueries,
        watch: Stopwatch,
        regions: Sequence[ResizeGeometry] | None = None,
    ) -> AmodalPrediction:
        """What the graphs say of N objects, at least one; with mode `roi` perhaps in N regions."""
        parts, surroundings = self._parts(features, queries, self._segmenter(watch), regions)
        raw = tuple(mask for masks, _, _ in parts for mask in masks)
        visible = tuple(mask for _, masks, _ in parts for mask in masks)
        iou = np.concatenate([values for _, _, values in parts])
        hw = features.original_hw
        return AmodalPrediction(hw, raw, visible, iou, watch.timings_ms, surroundings)

    def warm_up(self, objects: int = 1) -> None:
        """Runs the whole chain once on a grey image, so that the first real frame is not slower.

        Args:
            objects: how many.

        Raises:
            BackendError: when the engine fails.
        """
        size = self.manifest.image_size
        features = self.encode(np.full((size, size, 3), 127, dtype=np.uint8))
        boxes = np.tile([[0.25, 0.25, 0.75, 0.75]], (objects, 1)) * size
        self.predict(features, boxes)
        if self._small is not None:
            self._small.warm_up(objects)
        memories: Sequence[ObjectMemory | None] = [None] * objects
        for _ in range(2 if self.remembers else 0):  # from a prompt, then from memory
            found = self.follow(features, boxes, [None] * objects, memories, [False] * objects)
            memories = found.remembered

    def interrupt(self) -> None:
        """Ends a `predict` or `encode` in progress, where the engine can: see `Backend`."""
        self.backend.interrupt()
        if self._small is not None:
            self._small.interrupt()

    def close(self) -> None:
        """Frees the engine."""
        self.backend.close()
        if self._small is not None:
            self._small.close()

    def _segmenter(self, watch: Stopwatch) -> ObjectSegmenter:
        runner = GraphRunner.of(self.manifest, self.backend, self._max_batch, watch)
        return ObjectSegmenter(self.manifest, runner, self._ask_twice, self._fine_edges)

    def _parts(
        self,
        features: ImageFeatures,
        queries: ObjectQueries,
        segmenter: ObjectSegmenter,
        regions: Sequence[ResizeGeometry] | None,
    ) -> tuple[list[Masks], ObjectFeatures]:
        """Segments at most `max_batch` objects at a time, so that memory does not grow with N."""
        parts: list[Masks] = []
        seen: list[ObjectFeatures] = []
        unadapted: Embeddings | None = None  # of the image: computed with the first objects
        for rows in even_slices(len(queries), self._max_batch):
            part = queries.part(rows)
            if features.image is not None:
                places = None if regions is None else regions[rows]
                masks, one = segmenter.in_regions(features.image, part, places)
            else:
                masks, one, unadapted = segmenter.in_image(features, part, unadapted)
            parts.append(masks)
            seen.append(one)
        geometries = tuple(geometry for one in seen for geometry in one.geometries)
        if len(seen) > 1 and len(seen[0].values) == 1 and unadapted is not None:
            return parts, ObjectFeatures(seen[0].values, geometries)  # of the image, not of a part
        # Where they lie: the tracker asks for single rows.
        return parts, ObjectFeatures(RowRuns([one.values for one in seen]), geometries)

    def _whole_image(self, image_hw: tuple[int, int]) -> ResizeGeometry:
        """With mode `full`: how an image lies in the input."""
        if self.manifest.geometry == "letterbox":
            return ResizeGeometry.letterbox(image_hw, self.manifest.image_size)
        return ResizeGeometry.stretch(image_hw, self.manifest.image_size)
