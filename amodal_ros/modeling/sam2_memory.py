# SPDX-License-Identifier: Apache-2.0
"""SAM 2's memory for one object of a stream, in bounded space (paper, 3.5, A.1.4).

SAM 2's own methods do the work: they attend to the memory with the adapted features, decode, and
encode the amodal mask into the memory. What is here is the bookkeeping of ``sam2``'s video
predictor for a stream: what is remembered of which frame, and for how long.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from amodal_ros.modeling.amodal_model import ObjectEmbeddings
from amodal_ros.modeling.prompts import Prompts
from amodal_ros.modeling.two_mask_head import two_mask_head

if TYPE_CHECKING:
    from amodal_ros.modeling.amodal_sam2 import AmodalSam2

Decoded = tuple[torch.Tensor, torch.Tensor]


class ObjectMemory:
    """What SAM 2 remembers of one object."""

    def __init__(
        self, model: AmodalSam2, *, max_conditioning_frames: int, clip_length: int | None
    ) -> None:
        """Start without memory.

        Args:
            model: Whose memory attention, memory encoder and decoder are used.
            max_conditioning_frames: Prompted frames that are kept.
            clip_length: See :class:`~amodal_ros.modeling.video_types.VideoOptions`.
        """
        self._model = model
        self._base: Any = model.base
        self._max_conditioning_frames = max_conditioning_frames
        self._clip_length = clip_length
        self._prompted: dict[int, dict[str, Any]] = {}
        self._tracked: dict[int, dict[str, Any]] = {}
        self._position: list[torch.Tensor] | None = None

    def __len__(self) -> int:
        """Return the number of frames of which anything is remembered."""
        return len(self._prompted) + len(self._tracked)

    def prompt(
        self,
        frame_index: int,
        embeddings: ObjectEmbeddings,
        prompts: Prompts | None,
        mask: torch.Tensor | None,
    ) -> Decoded:
        """Segment the object from a prompt, without memory, and remember the frame.

        Args:
            frame_index: Of the current frame.
            embeddings: Of this object, batch 1.
            prompts: Of this object, box corners first; None with ``mask``.
            mask: ``(1, 1, S, S)`` of 0 and 1, in place of ``prompts``.

        Returns:
            Low-resolution logits ``(1, 1, s, s)`` and predicted IoU ``(1,)``.
        """
        points = None
        if prompts is not None:
            # The encoder of SAM 2's video path appends the padding point itself.
            points = {
                "point_coords": prompts.coords[:, :-1],
                "point_labels": prompts.labels[:, :-1].to(torch.int32),
            }
        features, sizes, outputs = self._step(
            frame_index, embeddings, is_prompted=True, points=points, mask=mask
        )
        logits, predicted_iou, high_res, pointer, score = outputs
        # As propagate_in_video_preflight does: from the low-resolution logits, also for a mask.
        side = self._base.image_size
        high_res = F.interpolate(logits, size=(side, side), mode="bilinear", align_corners=False)
        self._prompted[frame_index] = self._remember(
            features, sizes, high_res, score, pointer, is_prompted=True
        )
        self._tracked.pop(frame_index, None)
        self._forget(frame_index)
        return logits, predicted_iou

    def track(self, frame_index: int, embeddings: ObjectEmbeddings) -> Decoded:
        """Segment the object from what is remembered of it, and remember the frame.

        Args:
            frame_index: Of the current frame.
            embeddings: Of this object, batch 1.

        Returns:
            Low-resolution logits ``(1, 1, s, s)`` and predicted IoU ``(1,)``.
        """
        features, sizes, outputs = self._step(
            frame_index, embeddings, is_prompted=False, points=None, mask=None
        )
        logits, predicted_iou, high_res, pointer, score = outputs
        self._tracked[frame_index] = self._remember(
            features, sizes, high_res, score, pointer, is_prompted=False
        )
        self._forget(frame_index)
        return logits, predicted_iou

    def _step(
        self,
        frame_index: int,
        embeddings: ObjectEmbeddings,
        *,
        is_prompted: bool,
        points: dict[str, torch.Tensor] | None,
        mask: torch.Tensor | None,
    ) -> tuple[list[torch.Tensor], list[tuple[int, int]], tuple[torch.Tensor, ...]]:
        maps = [*embeddings.high_res, embeddings.embeddings]
        features = [m.flatten(2).permute(2, 0, 1) for m in maps]  # (h * w, 1, C)
        sizes = [(int(m.shape[-2]), int(m.shape[-1])) for m in maps]
        position = self._base.image_encoder.neck.position_encoding(maps[-1])
        with self._model.decoder_adapted(embeddings), self._corrected_mask(embeddings):
            _, outputs, _, _ = self._base._track_step(
                frame_idx=frame_index,
                is_init_cond_frame=is_prompted,
                current_vision_feats=features,
                current_vision_pos_embeds=[position.flatten(2).permute(2, 0, 1)],
                feat_sizes=sizes,
                point_inputs=points,
                mask_inputs=mask,
                output_dict={
                    "cond_frame_outputs": self._prompted,
                    "non_cond_frame_outputs": self._tracked,
                },
                num_frames=self._frames_in_clip(frame_index),
                track_in_reverse=False,
                prev_sam_mask_logits=None,
            )
        _, _, predicted_iou, logits, high_res, pointer, score = outputs
        best_iou = predicted_iou.max(dim=1).values
        return features, sizes, (logits, best_iou, high_res, pointer, score)

    @contextmanager
    def _corrected_mask(self, embeddings: ObjectEmbeddings) -> Iterator[None]:
        """Take the single mask while the context lasts, where a head corrects it: no other."""
        has_head = two_mask_head(self._model.adapters) is not None
        before = self._base.multimask_output_in_sam
        if has_head and bool((embeddings.adapter_gain != 0).any()):
            self._base.multimask_output_in_sam = False
        try:
            yield
        finally:
            self._base.multimask_output_in_sam = before

    def _frames_in_clip(self, frame_index: int) -> int:
        """Return the number of frames that SAM 2 is told; a stream is as long as it may look."""
        if self._clip_length is not None:
            return self._clip_length
        return max(frame_index + 1, int(self._base.max_obj_ptrs_in_encoder))

    def _remember(
        self,
        features: list[torch.Tensor],
        sizes: list[tuple[int, int]],
        high_res: torch.Tensor,
        score: torch.Tensor,
        pointer: torch.Tensor,
        *,
        is_prompted: bool,
    ) -> dict[str, Any]:
        """Encode the frame; the amodal mask and the adapted features enter the memory."""
        encoded, position = self._base._encode_new_memory(
            current_vision_feats=features,
            feat_sizes=sizes,
            pred_masks_high_res=high_res,
            object_score_logits=score,
            is_mask_from_pts=is_prompted,
        )
        if self._position is None:
            self._position = position  # the same for every frame, so it is kept once
        return {
            "maskmem_features": encoded.to(torch.bfloat16),  # as sam2's video predictor keeps it
            "maskmem_pos_enc": self._position,
            "obj_ptr": pointer,
        }

    def _forget(self, frame_index: int) -> None:
        """Drop what no later frame looks at, so that a long stream needs no more than a short."""
        base = self._base
        stride = base.memory_temporal_stride_for_eval
        spatial = 1 if base.num_maskmem < 3 else 1 + (base.num_maskmem - 2) * stride
        pointers = base.max_obj_ptrs_in_encoder - 1 if base.use_obj_ptrs_in_encoder else 0
        for index in list(self._tracked):
            age = frame_index + 1 - index  # as the next frame sees it
            if age > max(spatial, pointers):
                del self._tracked[index]
            elif age > spatial:
                self._tracked[index] = {"obj_ptr": self._tracked[index]["obj_ptr"]}
        for index in sorted(self._prompted)[1:]:
            if len(self._prompted) <= self._max_conditioning_frames:
                break
            del self._prompted[index]
