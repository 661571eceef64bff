# SPDX-License-Identifier: Apache-2.0
"""A predictor that answers at once, and tells what it was asked."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from amodal_ros.image.boxes import check_boxes
from amodal_ros.types import AmodalPrediction, ImageFeatures, PointPrompt


class FakePredictor:
    """Amodal mask = the box, visible mask = its left half; may be slow, and may fail."""

    encodes_ahead = False
    remembers = False
    looks_small = False

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.failures: list[Exception] = []
        self.images: list[np.ndarray] = []
        self.priors: list[Sequence[np.ndarray | None] | None] = []
        self.points: list[Sequence[PointPrompt | None] | None] = []
        self.small: list[np.ndarray | None] = []
        self.warm = False
        self.closed = False

    def warm_up(self) -> None:
        self.warm = True

    def interrupt(self) -> None:
        """As most engines: nothing happens."""

    def close(self) -> None:
        self.closed = True

    def encode(self, image_rgb: np.ndarray) -> ImageFeatures:
        self.images.append(image_rgb.copy())
        hw = image_rgb.shape[:2]
        return ImageFeatures(None, image_rgb, None, hw, {"preprocess": 1.0, "prefix": 2.0})

    def follow(
        self, features, boxes_xyxy, prior_masks, memories, prompted, *, points=None
    ) -> AmodalPrediction:
        raise AssertionError("a model without a memory was asked to follow")

    def predict(
        self, features, boxes_xyxy=None, prior_masks=None, *, points=None, small=None, tight=None
    ) -> AmodalPrediction:
        time.sleep(self.delay_s)
        if self.failures:
            raise self.failures.pop(0)
        if boxes_xyxy is None:  # squares around the first points
            centres = np.array([prompt.coords_xy[0] for prompt in points])
            boxes_xyxy = np.concatenate([centres - 10, centres + 10], axis=1)
        check_boxes("boxes_xyxy", np.asarray(boxes_xyxy, np.float32), features.original_hw)
        boxes_xyxy = np.maximum(boxes_xyxy, 0)
        self.priors.append(prior_masks)
        self.points.append(points)
        self.small.append(small)
        amodal = np.zeros((len(boxes_xyxy), *features.original_hw), bool)
        visible = amodal.copy()
        for row, (x0, y0, x1, y1) in enumerate(np.round(boxes_xyxy).astype(int)):
            amodal[row, y0:y1, x0:x1] = True
            visible[row, y0:y1, x0 : (x0 + x1) // 2] = True
        iou = np.full(len(boxes_xyxy), 0.75, np.float32)
        timings = {"prior": 0.5, "suffix": 3.0, "decoder": 1.5, "postprocess": 0.25}
        return AmodalPrediction.from_masks(amodal, visible, iou, timings)
