# SPDX-License-Identifier: Apache-2.0
"""A torch checkpoint of any member of the family, evaluated in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from amodal_ros.boxes import boxes_to_masks, expand_boxes
from amodal_ros.errors import InvalidInputError
from amodal_ros.geometry import ResizeGeometry
from amodal_ros.masks import mask_boxes
from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD, AmodalModel, Features
from amodal_ros.modeling.base_weights import read_base_weights
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.checkpoint import load_checkpoint, read_header
from amodal_ros.preprocess import preprocess_image
from amodal_ros.types import AmodalPrediction, PointPrompt
from training.evaluation.segmenters import ModelDescription, file_sha256

PRIOR_EXPAND = 1.2  # of the box's width and height, for M_spec (paper 4.1)
MAX_BATCH = 8


@dataclass(frozen=True, eq=False)
class TorchFeatures:
    """An encoded image.

    Attributes:
        features: from the model's prefix, batch 1.
        geometry: how the image lies in the input.
    """

    features: Features
    geometry: ResizeGeometry


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
        header = read_header(checkpoint)
        weights = read_base_weights(base)
        model: AmodalModel
        if header.config.base == "mobile_sam":
            model = AmodalMobileSam.from_state(header.config, weights.state)
        else:
            model = build_amodal(header.config, base)
        load_checkpoint(checkpoint, model, weights.identity)
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
        )

    @classmethod
    def from_model(cls, model: AmodalModel, description: ModelDescription) -> TorchSegmenter:
        """Wrap a model in memory, as during training."""
        segmenter = cls.__new__(cls)
        segmenter._setup(model, description)
        return segmenter

    def _setup(self, model: AmodalModel, description: ModelDescription) -> None:
        self._model = model
        self._device = next(model.parameters()).device
        self.description = description

    @torch.inference_mode()
    def encode(self, image_rgb: NDArray[np.uint8]) -> TorchFeatures:
        """Run the prefix on (H, W, 3) uint8 RGB."""
        geometry = self._model.geometry((image_rgb.shape[0], image_rgb.shape[1]))
        tensor = preprocess_image(image_rgb, geometry, PIXEL_MEAN, PIXEL_STD)
        return TorchFeatures(self._model.prefix(self._tensor(tensor)), geometry)

    @torch.inference_mode()
    def predict(
        self,
        features: TorchFeatures,
        boxes_xyxy: NDArray[np.float32] | None,
        prior_masks: Sequence[NDArray[np.bool_] | None],
        points: Sequence[PointPrompt] | None,
    ) -> AmodalPrediction:
        """Segment N objects, at most `MAX_BATCH` at a time; see `Segmenter`."""
        hw, count = features.geometry.original_hw, len(prior_masks)
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
        prompts = self._prompts(features.geometry, boxes, points)
        size = self._model.config.image_size
        blank = np.zeros((len(prior_masks), 1, size, size), dtype=np.float32)
        visible, _ = self._pass(features, blank, 0.0, prompts)
        priors = self._priors(features.geometry, mask_boxes(visible), boxes, prior_masks)
        raw, iou = self._pass(features, priors, self.description.adapter_gain, prompts)
        return raw, visible, iou

    def _pass(
        self, features: TorchFeatures, priors: NDArray[np.float32], gain: float, prompts: Any
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        gains = torch.full((len(priors),), gain, device=self._device)
        embeddings = self._model.suffix(features.features, self._tensor(priors), gains)
        found = self._model.decode(embeddings, prompts)
        logits = found.low_res_logits[:, :1].float().cpu().numpy()
        iou = found.predicted_iou[:, 0].float().cpu().numpy()
        return features.geometry.logits_to_original(logits), iou

    def _prompts(
        self,
        geometry: ResizeGeometry,
        boxes: NDArray[np.float32] | None,
        points: Sequence[PointPrompt] | None,
    ) -> Any:
        if points is not None:
            coords = geometry.points_to_input(np.stack([p.coords_xy for p in points]))
            labels = np.stack([p.labels for p in points]).astype(np.float32)
            return self._model.build_prompts(
                points=self._tensor(coords), point_labels=self._tensor(labels)
            )
        if boxes is None:
            raise InvalidInputError("boxes_xyxy, points: expected one of them, got None twice")
        return self._model.build_prompts(boxes_xyxy=self._tensor(geometry.boxes_to_input(boxes)))

    def _priors(
        self,
        geometry: ResizeGeometry,
        visible_boxes: NDArray[np.int32],
        boxes: NDArray[np.float32] | None,
        prior_masks: Sequence[NDArray[np.bool_] | None],
    ) -> NDArray[np.float32]:
        """M_spec: what was given, or the expanded box; with points that of the visible mask."""
        hw = geometry.original_hw
        source = visible_boxes.astype(np.float32) if boxes is None else boxes
        from_boxes = boxes_to_masks(expand_boxes(source, PRIOR_EXPAND, hw), hw)
        masks = [
            box if prior is None else prior
            for box, prior in zip(from_boxes, prior_masks, strict=True)
        ]
        return geometry.masks_to_input(np.stack(masks))

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)
