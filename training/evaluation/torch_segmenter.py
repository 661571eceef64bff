# SPDX-License-Identifier: Apache-2.0
"""A torch checkpoint of any member of the family, evaluated in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import file_sha256
from amodal_ros.image.boxes import boxes_to_masks, expand_boxes
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.masks import mask_boxes
from amodal_ros.inference.preprocess import preprocess_image
from amodal_ros.inference.prompts import check_queries
from amodal_ros.inference.regions import object_regions
from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD, AmodalModel, Features
from amodal_ros.modeling.base_weights import read_base_weights
from amodal_ros.modeling.build import load_amodal
from amodal_ros.types import AmodalPrediction, PointPrompt
from training.evaluation.segmenters import ModelDescription

PRIOR_EXPAND = 1.2  # of the box's width and height, for M_spec (paper 4.1)
MAX_BATCH = 8


@dataclass(frozen=True, eq=False)
class TorchFeatures:
    """An encoded image, or the image itself where each object gets a region of its own.

    Attributes:
        original_hw: of the image.
        features: from the model's prefix, batch 1; None with regions.
        geometry: how the image lies in the input; None with regions.
        image: (H, W, 3) uint8 RGB, with regions.
    """

    original_hw: tuple[int, int]
    features: Features | None = None
    geometry: ResizeGeometry | None = None
    image: NDArray[np.uint8] | None = None


class TorchSegmenter:
    """Runs an `AmodalModel`; see `training.evaluation.segmenters.Segmenter`."""

    def __init__(self, checkpoint: Path, base: Path, adapter_gain: float = 1.0) -> None:
        """Build the model on its base weights and load the checkpoint.

        Args:
            checkpoint: ``.safetensors`` with a header of ours.
            base: the base weights the checkpoint says it belongs to.
            adapter_gain: factor on the adapters' residual.

        Raises:
            CheckpointError: files are unreadable or do not belong together.
        """
        weights = read_base_weights(base)
        model, header = load_amodal(checkpoint, weights)
        self._setup(
            model,
            ModelDescription(
                name=checkpoint.stem,
                kind="torch",
                path=str(checkpoint),
                sha256=file_sha256(checkpoint),
                trained=bool(header.training),
                adapter_gain=adapter_gain,
                details={
                    "base": str(weights.identity),
                    "config": header.config.to_dict(),
                    "training": dict(header.training),
                },
            ),
            roi_factor=trained_roi_factor(header.training),
            prior_from=header.prior_from,
        )

    @classmethod
    def from_model(
        cls,
        model: AmodalModel,
        description: ModelDescription,
        roi_factor: float | None = None,
        prior_from: str = "box",
    ) -> TorchSegmenter:
        """Wrap a model in memory.

        Args:
            model: any member of the family.
            description: for reports.
            roi_factor: of one that looks at regions of interest.
            prior_from: as in a manifest: `box` or `visible_mask`.
        """
        segmenter = cls.__new__(cls)
        segmenter._setup(model, description, roi_factor, prior_from)
        return segmenter

    def _setup(
        self,
        model: AmodalModel,
        description: ModelDescription,
        roi_factor: float | None,
        prior_from: str,
    ) -> None:
        self._model = model
        self._roi_factor = roi_factor
        self._prior_from = prior_from
        self._device = next(model.parameters()).device
        self.description = description

    @torch.inference_mode()
    def encode(self, image_rgb: NDArray[np.uint8]) -> TorchFeatures:
        """Run the prefix on (H, W, 3) uint8 RGB; with regions keep the image for `predict`."""
        hw = image_rgb.shape[0], image_rgb.shape[1]
        if self._roi_factor is not None:
            return TorchFeatures(hw, image=image_rgb)
        geometry = self._model.geometry(hw)
        return TorchFeatures(hw, self._prefix(image_rgb, [geometry]), geometry)

    @torch.inference_mode()
    def predict(
        self,
        features: TorchFeatures,
        boxes_xyxy: NDArray[np.float32] | None,
        prior_masks: Sequence[NDArray[np.bool_] | None],
        points: Sequence[PointPrompt] | None,
    ) -> AmodalPrediction:
        """Segment N objects, at most `MAX_BATCH` at a time; see `Segmenter`."""
        hw, count = features.original_hw, len(prior_masks)
        if count == 0:
            return AmodalPrediction.empty(hw)
        parts = []
        for start in range(0, count, MAX_BATCH):
            rows = slice(start, start + MAX_BATCH)
            parts.append(
                self._segment(
                    features,
                    None if boxes_xyxy is None else boxes_xyxy[rows],
                    prior_masks[rows],
                    None if points is None else points[rows],
                )
            )
        raw, visible, iou = (np.concatenate(values) for values in zip(*parts, strict=True))
        return AmodalPrediction(raw, visible, iou)

    def _segment(
        self,
        features: TorchFeatures,
        boxes: NDArray[np.float32] | None,
        prior_masks: Sequence[NDArray[np.bool_] | None],
        points: Sequence[PointPrompt] | None,
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]]:
        encoded, geometries = self._encoded(features, boxes, prior_masks, points)
        prompts = self._prompts(geometries, boxes, points)
        size = self._model.config.image_size
        blank = np.zeros((len(prior_masks), 1, size, size), dtype=np.float32)
        visible, _ = self._pass(encoded, geometries, blank, 0.0, prompts)
        if self._prior_from == "visible_mask":
            given = zip(prior_masks, visible, strict=True)
            prior_masks = [seen if m is None and seen.any() else m for m, seen in given]
        priors = self._priors(geometries, mask_boxes(visible), boxes, prior_masks)
        gain = self.description.adapter_gain
        raw, iou = self._pass(encoded, geometries, priors, gain, prompts)
        return raw, visible, iou

    def _encoded(
        self,
        features: TorchFeatures,
        boxes: NDArray[np.float32] | None,
        prior_masks: Sequence[NDArray[np.bool_] | None],
        points: Sequence[PointPrompt] | None,
    ) -> tuple[Features, list[ResizeGeometry]]:
        """The features that the objects share, or those of each object's region."""
        if features.features is not None and features.geometry is not None:
            return features.features, [features.geometry] * len(prior_masks)
        if self._roi_factor is None or features.image is None or boxes is None:
            raise InvalidInputError("boxes_xyxy: a checkpoint that looks at regions needs boxes")
        queries = check_queries(features.original_hw, boxes, prior_masks, points)
        size = self._model.config.image_size
        geometries = object_regions(queries, self._roi_factor, size)
        return self._prefix(features.image, geometries), geometries

    def _prefix(
        self, image_rgb: NDArray[np.uint8], geometries: Sequence[ResizeGeometry]
    ) -> Features:
        inputs = [preprocess_image(image_rgb, g, PIXEL_MEAN, PIXEL_STD) for g in geometries]
        return self._model.prefix(self._tensor(np.concatenate(inputs)))

    def _pass(
        self,
        encoded: Features,
        geometries: Sequence[ResizeGeometry],
        priors: NDArray[np.float32],
        gain: float,
        prompts: Any,
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        gains = torch.full((len(priors),), gain, device=self._device)
        embeddings = self._model.suffix(encoded, self._tensor(priors), gains)
        found = self._model.decode(embeddings, prompts)
        logits = found.low_res_logits[:, :1].float().cpu().numpy()
        iou = found.predicted_iou[:, 0].float().cpu().numpy()
        rows = zip(geometries, logits[:, None], strict=True)
        return np.concatenate([g.logits_to_original(row) for g, row in rows]), iou

    def _prompts(
        self,
        geometries: Sequence[ResizeGeometry],
        boxes: NDArray[np.float32] | None,
        points: Sequence[PointPrompt] | None,
    ) -> Any:
        if points is not None:
            pairs = zip(geometries, points, strict=True)
            coords = np.stack([g.points_to_input(p.coords_xy) for g, p in pairs])
            labels = np.stack([p.labels for p in points]).astype(np.float32)
            return self._model.build_prompts(
                points=self._tensor(coords), point_labels=self._tensor(labels)
            )
        if boxes is None:
            raise InvalidInputError("boxes_xyxy, points: expected one of them, got None twice")
        framed = [g.boxes_to_input(box) for g, box in zip(geometries, boxes, strict=True)]
        return self._model.build_prompts(boxes_xyxy=self._tensor(np.concatenate(framed)))

    def _priors(
        self,
        geometries: Sequence[ResizeGeometry],
        visible_boxes: NDArray[np.int32],
        boxes: NDArray[np.float32] | None,
        prior_masks: Sequence[NDArray[np.bool_] | None],
    ) -> NDArray[np.float32]:
        """M_spec: what is given, or the expanded box; with points that of the visible mask."""
        hw = geometries[0].original_hw
        source = visible_boxes.astype(np.float32) if boxes is None else boxes
        from_boxes = boxes_to_masks(expand_boxes(source, PRIOR_EXPAND, hw), hw)
        masks = [
            box if prior is None else prior
            for box, prior in zip(from_boxes, prior_masks, strict=True)
        ]
        framed = [g.masks_to_input(m[None]) for g, m in zip(geometries, masks, strict=True)]
        return np.concatenate(framed)

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def trained_roi_factor(training: Mapping[str, Any]) -> float | None:
    """What a checkpoint's header says about regions of interest: their factor, or None."""
    data = training.get("config", {}).get("data") or {}
    if data.get("framing") != "roi":
        return None
    return float(data["validation"]["roi_factor"])
