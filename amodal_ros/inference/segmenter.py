# SPDX-License-Identifier: Apache-2.0
"""The way of objects through the graphs: M_spec, both embeddings, both masks (paper Eq. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from amodal_ros.backends.base import RowRuns
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import clip_boxes
from amodal_ros.image.cropped import CroppedMask, tight_boxes
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.scratch import Scratch
from amodal_ros.inference.fine_edges import fine_masks
from amodal_ros.inference.graph_runner import Decoded, Embeddings, GraphRunner, gives_visible
from amodal_ros.inference.postprocess import masks_from_logits, with_shared_outline
from amodal_ros.inference.preprocess import preprocess_regions
from amodal_ros.inference.prompts import (
    DecoderPrompts,
    ObjectQueries,
    decoder_prompts,
    prior_boxes,
    prior_tensor,
)
from amodal_ros.inference.regions import object_regions
from amodal_ros.inference.second_question import second_prompts, steadier
from amodal_ros.model_folder.manifest import ModelManifest
from amodal_ros.object_features import ObjectFeatures
from amodal_ros.types import ImageFeatures

_scratch = Scratch()

# n raw amodal masks, n visible masks, predicted IoU (n,) float32.
Masks = tuple[tuple[CroppedMask, ...], tuple[CroppedMask, ...], np.ndarray]


@dataclass(frozen=True, eq=False)
class ObjectSegmenter:
    """Segments objects in one call of the predictor.

    Attributes:
        manifest: of the model folder.
        runner: runs its graphs, and measures all steps.
        ask_twice: see `AmodalPredictor`.
        fine_edges: likewise.
    """

    manifest: ModelManifest
    runner: GraphRunner
    ask_twice: bool = False
    fine_edges: bool = False

    def preprocess(self, image: np.ndarray, geometries: Sequence[ResizeGeometry]) -> np.ndarray:
        """One input (n, 3, S, S) float32 for each geometry of an image (H, W, 3) uint8.

        It is the thread's, and holds until the next call there.
        """
        with self.runner.watch.measure("preprocess"):
            out = _scratch.part("image", (len(geometries), 3, *geometries[0].input_hw))
            levels = self.manifest.mean, self.manifest.std
            return preprocess_regions(image, geometries, *levels, out)

    def in_image(
        self, features: ImageFeatures, queries: ObjectQueries, unadapted: Embeddings | None
    ) -> tuple[Masks, ObjectFeatures, Embeddings | None]:
        """Mode `full`: objects of an encoded image.

        Args:
            features: of the image.
            queries: the objects.
            unadapted: the image's unadapted embeddings, where an earlier call gave them.

        Returns:
            The masks, what they were decoded from, and the unadapted embeddings, where they were
            needed: a model whose one pass gives both masks needs them to find a box alone.
        """
        encoded, geometry = features.encoded
        geometries = [geometry] * len(queries)
        with self.runner.watch.measure("prior"):
            prompts = decoder_prompts(queries, geometries, self.manifest.family)
        visible: tuple[CroppedMask, ...] | None = None
        if self._priors_known(queries):
            if self._in_one_pass:
                adapted = self._embedded(features, queries, 0)
            else:
                unadapted, adapted = self.both_passes(features, queries, unadapted)
        else:
            unadapted = unadapted or self._unadapted(encoded, geometry, 1)
            visible = self._decode(unadapted, prompts, geometries)[0]
            priors = self._priors(queries, tight_boxes(visible), geometries, 0)
            adapted = self.runner.suffix(encoded, priors, [1.0] * len(queries))
        masks, seen = self._masks(adapted, unadapted, visible, prompts, geometries)
        return masks, seen, unadapted

    def both_passes(
        self, features: ImageFeatures, queries: ObjectQueries, unadapted: Embeddings | None
    ) -> tuple[Embeddings, Embeddings]:
        """Mode `full`: unadapted embeddings of an image, 1 row, and those of n objects.

        Args:
            features: of the image.
            queries: objects whose M_spec is known or made from a box.
            unadapted: the image's unadapted embeddings, where an earlier call gave them.
        """
        if unadapted is not None:
            return unadapted, self._embedded(features, queries, 0)
        return _split(self._embedded(features, queries, 1), 1)

    def in_regions(
        self,
        image: np.ndarray,
        queries: ObjectQueries,
        regions: Sequence[ResizeGeometry] | None = None,
    ) -> tuple[Masks, ObjectFeatures]:
        """Mode `roi`: a crop per object goes through all graphs.

        Args:
            image: (H, W, 3) uint8.
            queries: the objects.
            regions: where to look for each; None: see `object_regions`.

        Returns:
            The masks, and the embeddings of the crops.
        """
        hw, size, count = queries.image_hw, self.manifest.image_size, len(queries)
        given = queries.boxes_xyxy
        boxes = self._boxes_of_points(image, queries) if given is None else given
        queries = replace(queries, boxes_xyxy=clip_boxes(boxes, hw)[0])
        with self.runner.watch.measure("prior"):
            chosen = object_regions(queries, self.manifest.roi_factor or 1.0, size)
            geometries = chosen if regions is None else list(regions)
            # A box found by way of points says where to look; the points still say what for.
            asked = queries if given is not None else replace(queries, boxes_xyxy=None)
            prompts = decoder_prompts(asked, geometries, self.manifest.family)
        features = self.runner.prefix(self.preprocess(image, geometries))
        unadapted: Embeddings | None = None
        if self._in_one_pass:
            priors = self._priors(queries, queries.boxes_xyxy, geometries, 0)
            adapted = self.runner.suffix(features, priors, [1.0] * count)
        else:
            priors = self._priors(queries, queries.boxes_xyxy, geometries, count)
            # Joined only where a call takes rows of both: a copy would cost as much as the crops.
            both = self.runner.suffix(
                RowRuns([features, features]), priors, [0.0] * count + [1.0] * count
            )
            unadapted, adapted = _split(both, count)
        guide = image if self.fine_edges else None
        return self._masks(adapted, unadapted, None, prompts, geometries, guide)

    @property
    def _in_one_pass(self) -> bool:
        return gives_visible(self.manifest)

    def _masks(
        self,
        adapted: Embeddings,
        unadapted: Embeddings | None,
        visible: tuple[CroppedMask, ...] | None,
        prompts: Sequence[DecoderPrompts],
        geometries: Sequence[ResizeGeometry],
        guide: np.ndarray | None = None,
    ) -> tuple[Masks, ObjectFeatures]:
        """Decodes both masks of n objects.

        Args:
            adapted: n rows.
            unadapted: 1 or n rows; None with a model that gives both masks in one pass.
            visible: n masks, where they are decoded already: what the base model sees.
            prompts: of the objects.
            geometries: likewise.
            guide: the image, at whose edges masks of one pass shall end.

        Returns:
            The masks, and the embeddings from which the visible ones were decoded.
        """
        source = adapted if unadapted is None or self._in_one_pass else unadapted
        if visible is None and source is unadapted:
            visible = self._decode(unadapted, prompts, geometries)[0]
        raw, iou, own_visible = self._decode(adapted, prompts, geometries, self.ask_twice, guide)
        visible = visible if own_visible is None else own_visible
        if visible is None:
            raise InvalidInputError("expected unadapted embeddings of a model of two passes")
        return (raw, visible, iou), ObjectFeatures(source["embeddings"], tuple(geometries))

    def _unadapted(self, features: np.ndarray, geometry: ResizeGeometry, rows: int) -> Embeddings:
        """The base model's embeddings, without an M_spec."""
        blank = np.zeros((rows, 1, *geometry.input_hw), dtype=np.float32)
        return self.runner.suffix(features, blank, [0.0] * rows)

    def _embedded(
        self, features: ImageFeatures, queries: ObjectQueries, blank_rows: int
    ) -> Embeddings:
        """Unadapted embeddings in so many rows, then the adapted ones of n objects."""
        encoded, geometry = features.encoded
        geometries = [geometry] * len(queries)
        priors = self._priors(queries, queries.boxes_xyxy, geometries, blank_rows)
        return self.runner.suffix(encoded, priors, [0.0] * blank_rows + [1.0] * len(queries))

    def _priors_known(self, queries: ObjectQueries) -> bool:
        """Whether every M_spec can be made before anything has been segmented."""
        if queries.boxes_xyxy is not None:
            return True
        return all(mask is not None for mask in queries.prior_masks)

    def _boxes_of_points(self, image: np.ndarray, queries: ObjectQueries) -> np.ndarray:
        """Boxes (N, 4) of what the points mark when all of the image is looked at.

        Where nothing is found the box is the whole image.
        """
        height, width = queries.image_hw
        whole = np.array([0, 0, width, height], dtype=np.float32)
        geometry = ResizeGeometry.roi(queries.image_hw, whole, self.manifest.image_size)
        features = self.runner.prefix(self.preprocess(image, [geometry]))
        embeddings = self._unadapted(features, geometry, 1)
        geometries = [geometry] * len(queries)
        prompts = decoder_prompts(queries, geometries, self.manifest.family)
        found = self._decode(embeddings, prompts, geometries)[0]
        boxes = tight_boxes(found).astype(np.float32)
        boxes[[mask.is_empty for mask in found]] = whole
        return boxes

    def _priors(
        self,
        queries: ObjectQueries,
        boxes: np.ndarray | None,
        geometries: Sequence[ResizeGeometry],
        blank_rows: int,
    ) -> np.ndarray:
        """`blank_rows` empty rows, then M_spec of each object: (rows, 1, S, S) float32."""
        with self.runner.watch.measure("prior"):
            if boxes is not None and None in queries.prior_masks:
                boxes = prior_boxes(boxes, self.manifest.prior_expand, queries.image_hw)
            return prior_tensor(queries, boxes, geometries, blank_rows)

    def _decode(
        self,
        embeddings: Embeddings,
        prompts: Sequence[DecoderPrompts],
        geometries: Sequence[ResizeGeometry],
        ask_twice: bool = False,
        guide: np.ndarray | None = None,
    ) -> tuple[tuple[CroppedMask, ...], np.ndarray, tuple[CroppedMask, ...] | None]:
        """N masks of the original image, predicted IoU (n,), and n visible masks."""
        found = self.runner.decoder(embeddings, prompts)
        threshold = self.manifest.mask_threshold
        if ask_twice and found.visible_logits is not None:
            found = self._asked_again(found, embeddings, prompts, geometries)
        with self.runner.watch.measure("postprocess"):
            logits, seen = found.logits, found.visible_logits
            if seen is not None and self.manifest.shared_outline:
                logits = with_shared_outline(logits, seen)
            if seen is not None and guide is not None:
                both = fine_masks(guide, geometries, logits, seen, threshold)
                amodal, visible = zip(*both, strict=True)
                return amodal, found.predicted_iou, visible
            masks = masks_from_logits(logits, geometries, threshold)
            if seen is None:
                return masks, found.predicted_iou, None
            return masks, found.predicted_iou, masks_from_logits(seen, geometries, threshold)

    def _asked_again(
        self,
        first: Decoded,
        embeddings: Embeddings,
        prompts: Sequence[DecoderPrompts],
        geometries: Sequence[ResizeGeometry],
    ) -> Decoded:
        """The answer with better visible masks where a second question gave them."""
        threshold = self.manifest.mask_threshold
        with self.runner.watch.measure("postprocess"):
            again = second_prompts(first, prompts, geometries, threshold)
        if not again:
            return first
        second = self.runner.decoder(embeddings, again)
        with self.runner.watch.measure("postprocess"):
            return steadier(first, again, second, self.manifest.image_size, threshold)


def _split(embeddings: Embeddings, row: int) -> tuple[Embeddings, Embeddings]:
    """The rows before `row`, and those from it on."""
    return (
        {name: values[:row] for name, values in embeddings.items()},
        {name: values[row:] for name, values in embeddings.items()},
    )
