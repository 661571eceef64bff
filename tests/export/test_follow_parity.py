# SPDX-License-Identifier: Apache-2.0
"""What the robot follows by SAM 2's memory is what the torch video predictor follows."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.modeling.amodal_sam2 import AmodalSam2
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.video_predictor import AmodalVideoPredictor
from amodal_ros.modeling.video_types import VideoFrame, VideoOptions, VideoPrompt
from amodal_ros.object_memory import ObjectMemory
from amodal_ros.types import AmodalPrediction, PointPrompt
from tests.export.torch_video import TorchVideoBackend, memory_of
from tests.modeling.family_support import activate, moving_square_clip
from tests.modeling.official_video import random_video_sam2

SIZE = 64
FRAMES = 19  # longer than the memory of masks (7 frames) and of object pointers (16)
BOX = np.array([10, 18, 30, 40], np.float32)
OTHER = np.array([8, 8, 40, 30], np.float32)
POINT = PointPrompt.from_points([[30, 20]])
# Objects enter, are set right, and leave.
PROMPTS: Mapping[int, Mapping[int, VideoPrompt]] = {
    0: {7: VideoPrompt(box_xyxy=BOX)},
    4: {3: VideoPrompt(box_xyxy=OTHER, points=POINT)},
    9: {7: VideoPrompt(box_xyxy=OTHER)},
    13: {7: VideoPrompt(box_xyxy=BOX)},
}
LEAVES = {15: 3}


def model_of(member: str, *, narrow: bool, **options: bool) -> AmodalSam2:
    base = random_video_sam2(member, SIZE, postprocessing=True, visible=0.6, narrow=narrow)
    config = AmodalConfig(
        base=member, image_size=SIZE, hidden_dim=16, sam2_postprocessing=True, **options
    )
    model = AmodalSam2(config, base)
    return activate(model)


def torch_frames(model: AmodalSam2, clip: list[np.ndarray], gain: float) -> list[VideoFrame]:
    options = VideoOptions(max_conditioning_frames=2, adapter_gain=gain)
    predictor = AmodalVideoPredictor(model, options)
    return [
        predictor.step(
            image, PROMPTS.get(index), remove=[LEAVES[index]] if index in LEAVES else []
        )
        for index, image in enumerate(clip)
    ]


class Robot:
    """Keeps of each object what is remembered, and its last amodal mask, as the tracker does."""

    def __init__(self, model: AmodalSam2) -> None:
        self.backend = TorchVideoBackend(model)
        manifest = self.backend.manifest("small")
        memory = memory_of(model)
        self.predictor = AmodalPredictor(manifest, self.backend, memory=memory)
        self.memories: dict[int, ObjectMemory | None] = {}
        self.masks: dict[int, CroppedMask] = {}

    def step(self, index: int, image: np.ndarray) -> AmodalPrediction:
        prompts = PROMPTS.get(index, {})
        self.memories.pop(LEAVES.get(index, -1), None)
        self.memories.update({key: self.memories.get(key) for key in prompts})
        boxes, priors, points = [], [], []
        for key in self.memories:
            prompt, mask = prompts.get(key), self.masks.get(key)
            boxes.append(BOX if prompt is None else prompt.box_xyxy)
            points.append(None if prompt is None else prompt.points)
            followed = prompt is None and mask is not None
            priors.append(mask.dilated(0.1 * math.sqrt(mask.area)) if followed else None)
        found = self.predictor.follow(
            self.predictor.encode(image),
            np.array(boxes),
            priors,
            list(self.memories.values()),
            [key in prompts for key in self.memories],
            points=points,
        )
        self.memories = dict(zip(self.memories, found.remembered, strict=True))
        for key, mask in zip(self.memories, found.raw_amodal, strict=True):
            if not mask.is_empty or key in prompts:
                self.masks[key] = mask
        return found


@pytest.mark.parametrize(
    ("member", "narrow", "visible"),
    [
        ("sam2.1_hiera_t", True, False),
        pytest.param("sam2_hiera_t", True, False, marks=pytest.mark.slow),
        # One pass gives both masks.
        pytest.param("sam2.1_hiera_t", True, True, marks=pytest.mark.slow),
        pytest.param("sam2.1_hiera_b+", False, False, marks=pytest.mark.slow),
    ],
)
def test_equals_the_torch_video_predictor_frame_by_frame(
    member: str, narrow: bool, visible: bool
) -> None:
    model = model_of(member, narrow=narrow, visible_output=visible)
    clip = moving_square_clip(FRAMES, SIZE)
    wanted, base = (torch_frames(model, clip, gain) for gain in (1.0, 0.0))
    robot = Robot(model)
    shares = []
    for index, image in enumerate(clip):
        found = robot.step(index, image)
        assert tuple(robot.memories) == wanted[index].object_ids
        np.testing.assert_allclose(
            found.predicted_iou, wanted[index].predicted_iou, rtol=0, atol=1e-4
        )
        assert (found.raw_amodal_masks == wanted[index].amodal_masks).mean() > 0.9995, index
        assert (found.visible_masks == base[index].amodal_masks).mean() > 0.9995, index
        shares.append(found.raw_amodal_masks.mean())
    assert 0.01 < np.mean(shares) < 0.99  # there was a mask to get wrong
    attention = [inputs for graph, inputs in robot.backend.calls if graph == "memory_attention"]
    assert max(inputs["memories"].shape[1] for inputs in attention) == 7
    assert max(inputs["object_pointers"].shape[1] for inputs in attention) <= 2 + 15
