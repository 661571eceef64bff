# SPDX-License-Identifier: Apache-2.0
"""The reference of a model folder: a drawn scene with occlusion, and its masks in fp32."""

from __future__ import annotations

import cv2
import numpy as np

from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import ModelManifest
from amodal_ros.verify import Reference
from export.folder.torch_backend import TorchBackend

SCENE_HW = (180, 240)


def draw_scene() -> tuple[np.ndarray, np.ndarray]:
    """Draw a table with a plate, a ball behind a box, and a bottle.

    Returns:
        The image ``(180, 240, 3)`` uint8 and the visible boxes ``(4, 4)`` float32.
    """
    height, width = SCENE_HW
    rows = np.linspace(0.0, 1.0, height)[:, None, None]
    wall, table = np.array([200, 205, 214]), np.array([150, 118, 86])
    image = np.where(rows < 0.4, wall - 30 * rows, table + 30 * rows)
    image = np.ascontiguousarray(np.broadcast_to(image, (height, width, 3)).astype(np.uint8))
    cv2.ellipse(image, (60, 130), (46, 22), 0, 0, 360, (232, 232, 236), -1)
    cv2.ellipse(image, (60, 129), (30, 13), 0, 0, 360, (212, 212, 220), -1)
    cv2.circle(image, (140, 96), 34, (196, 62, 54), -1)
    cv2.circle(image, (130, 84), 9, (226, 128, 118), -1)
    cv2.rectangle(image, (150, 84), (206, 150), (58, 92, 150), -1)
    cv2.rectangle(image, (150, 84), (206, 98), (84, 124, 186), -1)
    cv2.rectangle(image, (30, 58), (50, 118), (52, 120, 72), -1)
    cv2.rectangle(image, (36, 38), (44, 60), (60, 138, 84), -1)
    boxes = [[14, 108, 107, 153], [106, 62, 174, 131], [150, 84, 207, 151], [30, 38, 51, 119]]
    return cv2.GaussianBlur(image, (3, 3), 0.8), np.array(boxes, dtype=np.float32)


def make_reference(manifest: ModelManifest, torch_backend: TorchBackend) -> Reference:
    """Run the scene through the predictor with the torch model as its engine.

    Args:
        manifest: Of the model folder in the making.
        torch_backend: The model.
    """
    image, boxes = draw_scene()
    priors = np.zeros((len(boxes), *SCENE_HW), dtype=bool)
    priors[1, 58:136, 100:180] = True  # a coarse region, as a track gives; the others: their box
    predictor = AmodalPredictor(manifest, torch_backend)
    given = [mask if mask.any() else None for mask in priors]
    found = predictor.predict(predictor.encode(image), boxes, given)
    return Reference(
        image, boxes, priors, found.raw_amodal_masks, found.visible_masks, found.predicted_iou
    )
