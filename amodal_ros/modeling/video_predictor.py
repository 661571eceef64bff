# SPDX-License-Identifier: Apache-2.0
"""Amodal segmentation of a video, frame by frame (paper, 3.5, A.1.4).

The amodal mask of frame ``t - 1``, dilated into a coarse region, is M_spec of frame ``t``. With
SAM 2 each object keeps SAM 2's memory; the image models run through the same predictor without.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import boxes_to_masks, expand_boxes
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.masks import dilate_mask, mask_box
from amodal_ros.inference.preprocess import preprocess_image
from amodal_ros.modeling.amodal_model import (
    PIXEL_MEAN,
    PIXEL_STD,
    AmodalModel,
    Features,
    ObjectEmbeddings,
)
from amodal_ros.modeling.amodal_sam2 import AmodalSam2
from amodal_ros.modeling.prompts import Prompts
from amodal_ros.modeling.sam2_memory import Decoded, ObjectMemory
from amodal_ros.modeling.video_types import VideoFrame, VideoOptions, VideoPrompt


@dataclass(eq=False)
class _TrackedObject:
    """One object of the stream.

    ``region``: M_spec ``(H, W)`` bool of the next frame; ``box``: the last amodal mask's, which
    prompts the next frame where there is no memory. A mask that comes out empty changes neither.
    """

    memory: ObjectMemory | None
    region: np.ndarray
    box: np.ndarray


class AmodalVideoPredictor:
    """Follows objects through a stream of frames.

    Frames are given one at a time and are not kept. Objects come and go with any frame.
    """

    def __init__(self, model: AmodalModel, options: VideoOptions | None = None) -> None:
        self.model = model.eval()
        self.options = VideoOptions() if options is None else options
        self._device = next(model.base.parameters()).device
        self._objects: dict[int, _TrackedObject] = {}
        self._geometry: ResizeGeometry | None = None
        self._next_frame = 0

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The objects that are followed, in the order in which they were added."""
        return tuple(self._objects)

    def reset(self) -> None:
        """Forget everything; the next frame may be of another video and size."""
        self._objects.clear()
        self._geometry = None
        self._next_frame = 0

    def remove(self, object_id: int) -> None:
        """Stop following an object; the others are not affected.

        Raises:
            InvalidInputError: It is not followed.
        """
        if object_id not in self._objects:
            raise InvalidInputError(
                f"object {object_id} is not followed; followed are {self.object_ids}"
            )
        del self._objects[object_id]

    def remembered_frames(self, object_id: int) -> int:
        """Return of how many frames an object's memory holds something."""
        memory = self._objects[object_id].memory
        return 0 if memory is None else len(memory)

    @torch.inference_mode()
    def step(
        self,
        image_rgb: np.ndarray,
        prompts: Mapping[int, VideoPrompt] | None = None,
        *,
        remove: Collection[int] = (),
    ) -> VideoFrame:
        """Segment the next frame.

        Args:
            image_rgb: ``(H, W, 3)`` uint8, RGB; the same size until :meth:`reset`.
            prompts: By object id. A new id adds an object with this frame; a known id is set
                right by it, which becomes another prompted frame in its memory.
            remove: Objects that are no longer followed, from this frame on.

        Raises:
            InvalidInputError: The image's size changed, or an object is not followed.
        """
        prompts = {} if prompts is None else dict(prompts)
        for object_id in remove:
            self.remove(object_id)
        geometry = self._fit(image_rgb)
        image = preprocess_image(image_rgb, geometry, PIXEL_MEAN, PIXEL_STD)
        features = self.model.prefix(torch.from_numpy(image).to(self._device))
        for object_id, prompt in prompts.items():
            self._place(object_id, prompt, features, geometry)
        frame_index, self._next_frame = self._next_frame, self._next_frame + 1
        decoded = self._segment(frame_index, features, prompts, geometry)
        return self._finish(frame_index, decoded, geometry)

    def _fit(self, image_rgb: np.ndarray) -> ResizeGeometry:
        height, width = image_rgb.shape[:2]
        if self._geometry is None:
            self._geometry = self.model.geometry((height, width))
        if self._geometry.original_hw != (height, width):
            raise InvalidInputError(
                f"expected frames of (height, width) {self._geometry.original_hw}, "
                f"got {(height, width)}: reset the predictor for another video"
            )
        return self._geometry

    def _place(
        self, object_id: int, prompt: VideoPrompt, features: Features, geometry: ResizeGeometry
    ) -> None:
        """Set an object's M_spec and box from a prompt, and add it if it is new."""
        if prompt.mask is not None:
            box = np.array(mask_box(prompt.mask), np.float32)
            region = self._coarse_region(prompt.mask)
        else:
            if prompt.box_xyxy is not None:
                box = np.asarray(prompt.box_xyxy, np.float32)
            else:
                box = self._box_of_points(prompt, features, geometry)
            expanded = expand_boxes(box[None], self.options.prior_expand, geometry.original_hw)
            region = boxes_to_masks(expanded, geometry.original_hw)[0]
        known = self._objects.get(object_id)
        memory = self._new_memory() if known is None else known.memory
        self._objects[object_id] = _TrackedObject(memory, region, box)

    def _new_memory(self) -> ObjectMemory | None:
        if not self.options.use_memory or not isinstance(self.model, AmodalSam2):
            return None
        return ObjectMemory(
            self.model,
            max_conditioning_frames=self.options.max_conditioning_frames,
            clip_length=self.options.clip_length,
        )

    def _box_of_points(
        self, prompt: VideoPrompt, features: Features, geometry: ResizeGeometry
    ) -> np.ndarray:
        """Return the box of the unadapted mask, or the whole image where that is empty."""
        height, width = geometry.original_hw
        prior = np.zeros((1, height, width), dtype=bool)
        embeddings = self._embed(features, prior, geometry, gain=0.0)
        prediction = self.model.decode(embeddings, self._prompts(prompt, geometry))
        box = mask_box(_to_masks(prediction.low_res_logits, geometry)[0])
        return np.array(box if box[2] else (0, 0, width, height), np.float32)

    def _segment(
        self,
        frame_index: int,
        features: Features,
        prompts: Mapping[int, VideoPrompt],
        geometry: ResizeGeometry,
    ) -> list[Decoded]:
        decoded: list[Decoded] = []
        ids = self.object_ids
        for start in range(0, len(ids), self.options.max_objects_per_batch):
            batch = ids[start : start + self.options.max_objects_per_batch]
            regions = np.stack([self._objects[i].region for i in batch])
            embeddings = self._embed(features, regions, geometry, self.options.adapter_gain)
            for row, object_id in enumerate(batch):
                decoded.append(
                    self._decode(
                        frame_index,
                        self._objects[object_id],
                        embeddings.row(row),
                        prompts.get(object_id),
                        geometry,
                    )
                )
        return decoded

    def _embed(
        self, features: Features, regions: np.ndarray, geometry: ResizeGeometry, gain: float
    ) -> ObjectEmbeddings:
        priors = torch.from_numpy(geometry.masks_to_input(regions)).to(self._device)
        return self.model.suffix(features, priors, priors.new_full((len(regions),), gain))

    def _decode(
        self,
        frame_index: int,
        target: _TrackedObject,
        embeddings: ObjectEmbeddings,
        prompt: VideoPrompt | None,
        geometry: ResizeGeometry,
    ) -> Decoded:
        if target.memory is None:
            if prompt is None or prompt.mask is not None:
                prompt = VideoPrompt(box_xyxy=target.box)
            prediction = self.model.decode(embeddings, self._prompts(prompt, geometry))
            return prediction.low_res_logits, prediction.predicted_iou[:, 0]
        if prompt is None:
            return target.memory.track(frame_index, embeddings)
        if prompt.mask is not None:
            mask = torch.from_numpy(geometry.masks_to_input(prompt.mask[None])).to(self._device)
            return target.memory.prompt(frame_index, embeddings, None, mask)
        return target.memory.prompt(frame_index, embeddings, self._prompts(prompt, geometry), None)

    def _prompts(self, prompt: VideoPrompt, geometry: ResizeGeometry) -> Prompts:
        box = points = labels = None
        if prompt.box_xyxy is not None:
            box = torch.from_numpy(geometry.boxes_to_input(prompt.box_xyxy)).to(self._device)
        if prompt.points is not None:
            coords = geometry.points_to_input(prompt.points.coords_xy)
            points = torch.from_numpy(coords)[None].to(self._device)
            labels = torch.from_numpy(prompt.points.labels)[None].to(self._device)
        return self.model.build_prompts(boxes_xyxy=box, points=points, point_labels=labels)

    def _finish(
        self, frame_index: int, decoded: list[Decoded], geometry: ResizeGeometry
    ) -> VideoFrame:
        side = self.model.config.image_size // 4
        logits = torch.zeros(0, 1, side, side)
        predicted_iou = torch.zeros(0)
        if decoded:
            logits = torch.cat([part for part, _ in decoded]).float().cpu()
            predicted_iou = torch.cat([part for _, part in decoded]).float().cpu()
        masks = _to_masks(logits, geometry)
        for target, mask in zip(self._objects.values(), masks, strict=True):
            if mask.any():
                target.region = self._coarse_region(mask)
                target.box = np.array(mask_box(mask), np.float32)
        return VideoFrame(
            frame_index, self.object_ids, masks, logits.numpy(), predicted_iou.numpy()
        )

    def _coarse_region(self, mask: np.ndarray) -> np.ndarray:
        radius = self.options.prior_dilation * float(np.sqrt(np.count_nonzero(mask)))
        return dilate_mask(mask, radius)


def _to_masks(logits: torch.Tensor, geometry: ResizeGeometry) -> np.ndarray:
    return geometry.logits_to_original(logits.float().cpu().numpy())
