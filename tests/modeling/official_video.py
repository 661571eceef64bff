# SPDX-License-Identifier: Apache-2.0
"""sam2's own video predictor on frames in memory, for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.inference.preprocess import preprocess_image
from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD
from amodal_ros.modeling.video_types import VideoPrompt
from tests.modeling.family_support import official_sam2, randomise


def random_video_sam2(
    member: str, size: int, *, postprocessing: bool, visible: float, narrow: bool = False
) -> Any:
    """Build sam2's video predictor with random weights.

    ``visible`` is added to the object score, which decides whether SAM 2 sees an object at all.
    """
    torch.manual_seed(0)
    official: Any = official_sam2(
        member, size, video=True, postprocessing=postprocessing, narrow=narrow
    )
    randomise(official)
    # Filling holes needs a CUDA extension; without it sam2 warns and leaves them.
    official.fill_hole_area = 0
    with torch.no_grad():
        official.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.add_(visible)
    return official


class OfficialRun:
    """Drives sam2's video predictor over a clip; logits at its low resolution."""

    def __init__(self, official: Any, clip: Sequence[np.ndarray], monkeypatch: Any) -> None:
        self.official = official
        size = official.image_size
        geometry = ResizeGeometry.stretch(clip[0].shape[:2], size)
        frames = [preprocess_image(f, geometry, PIXEL_MEAN, PIXEL_STD) for f in clip]
        images = torch.from_numpy(np.concatenate(frames))
        # A "video" of the low resolution's size: sam2 then hands out its logits as they are.
        monkeypatch.setattr(
            "sam2.sam2_video_predictor.load_video_frames",
            lambda **_: (images, size // 4, size // 4),
        )
        self.scale = np.array([size, size]) / clip[0].shape[1::-1]
        self.state = official.init_state("a clip in memory")

    def add(self, frame: int, object_id: int, prompt: VideoPrompt) -> None:
        if prompt.mask is not None:
            self.official.add_new_mask(self.state, frame, object_id, prompt.mask)
            return
        points = labels = box = None
        size = self.official.image_size
        if prompt.box_xyxy is not None:
            box = torch.tensor(prompt.box_xyxy.reshape(2, 2) * self.scale / size).float()
        if prompt.points is not None:
            points = torch.tensor(prompt.points.coords_xy * self.scale / size).float()
            labels = torch.tensor(prompt.points.labels)
        self.official.add_new_points_or_box(
            self.state, frame, object_id, points, labels, box=box, normalize_coords=False
        )

    def remove(self, object_id: int) -> None:
        self.official.remove_object(self.state, object_id, strict=True, need_output=False)

    def propagate(self, first: int, last: int) -> dict[int, dict[int, np.ndarray]]:
        """Track frames ``first`` to ``last``; logits ``(1, s, s)`` by frame and object."""
        steps = self.official.propagate_in_video(self.state, first, last - first)
        return {
            frame: dict(zip(list(ids), masks.numpy().copy(), strict=True))
            for frame, ids, masks in steps
        }
