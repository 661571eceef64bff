# SPDX-License-Identifier: Apache-2.0
"""What goes into the video predictor and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from amodal_ros.checks import check_array
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import check_boxes
from amodal_ros.types import PointPrompt


@dataclass(frozen=True, eq=False, kw_only=True)
class VideoPrompt:
    """What says which object is meant, on one frame: a box, points, both, or a mask alone.

    Attributes:
        box_xyxy: ``(4,)`` float32, original pixels, or None.
        points: Points on and off the object, original pixels, or None.
        mask: ``(H, W)`` bool, original pixels, or None.
    """

    box_xyxy: np.ndarray | None = None
    points: PointPrompt | None = None
    mask: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check that the prompt is a box, points, both, or a mask.

        Raises:
            InvalidInputError: It is neither, or a part has the wrong shape.
        """
        has_click = self.box_xyxy is not None or self.points is not None
        if has_click == (self.mask is not None):
            raise InvalidInputError("a prompt is a box, points, or both; or else a mask alone")
        if self.box_xyxy is not None:
            check_boxes("box_xyxy", np.asarray(self.box_xyxy)[None])
        if self.mask is not None:
            check_array("mask", self.mask, np.bool_, (None, None))


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """How the video predictor works.

    Attributes:
        use_memory: Track with SAM 2's memory. Without it, and always for image models, each
            frame is segmented anew, prompted with the box of the previous amodal mask.
        prior_expand: Width and height of a first frame's M_spec over those of the box.
        prior_dilation: Radius by which the previous amodal mask is dilated into the coarse region
            that is M_spec (paper, 3.5), over the square root of its area.
        adapter_gain: 1 is the amodal model, 0 its base model.
        max_conditioning_frames: Prompted frames kept in an object's memory: the first and the
            newest. SAM 2 itself keeps all.
        max_objects_per_batch: Objects that go through the encoder's suffix together.
        clip_length: Number of frames where it is known. SAM 2 scales the age of its object
            pointers by it when it is under 16; a stream counts as longer.
    """

    use_memory: bool = True
    prior_expand: float = 1.2
    prior_dilation: float = 0.1
    adapter_gain: float = 1.0
    max_conditioning_frames: int = 8
    max_objects_per_batch: int = 8
    clip_length: int | None = None

    def __post_init__(self) -> None:
        for name in ("prior_expand", "max_conditioning_frames", "max_objects_per_batch"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.prior_dilation < 0:
            raise InvalidInputError(f"prior_dilation must not be negative: {self.prior_dilation}")
        if self.clip_length is not None and self.clip_length < 2:
            raise InvalidInputError(f"clip_length must be at least 2, got {self.clip_length}")


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """The objects of one frame, N of them, in the order in which they were added.

    Attributes:
        frame_index: 0 for the first frame after a reset.
        object_ids: N ids.
        amodal_masks: ``(N, H, W)`` bool, original pixels, as decoded.
        low_res_logits: ``(N, 1, s, s)`` float32, input frame.
        predicted_iou: ``(N,)`` float32.
    """

    frame_index: int
    object_ids: tuple[int, ...]
    amodal_masks: np.ndarray
    low_res_logits: np.ndarray
    predicted_iou: np.ndarray
