# SPDX-License-Identifier: Apache-2.0
"""What the gate compares on: images and boxes, of the reference or from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.verification.reference import ReferenceFrame


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and what is asked about it.

    Attributes:
        name: for the report.
        image_rgb: (H, W, 3) uint8.
        boxes_xyxy: (N, 4) float32, original pixels, N at least 1.
        prior_masks: M_spec of each object; None: from its box.
    """

    name: str
    image_rgb: np.ndarray
    boxes_xyxy: np.ndarray
    prior_masks: Sequence[np.ndarray | None] | None = None

    @classmethod
    def of_reference(cls, frame: ReferenceFrame) -> Scene:
        """The scene of a frame of a model folder's reference."""
        return cls("reference", frame.image_rgb, frame.boxes_xyxy, tuple(frame.priors()))


def read_scenes(images: Sequence[Path], boxes: Sequence[Sequence[float]]) -> list[Scene]:
    """Reads images; all boxes are asked about in each.

    Args:
        images: files that OpenCV reads.
        boxes: (x0, y0, x1, y1) in pixels.

    Raises:
        InvalidInputError: for an unreadable image, boxes without images or the reverse.
    """
    if (len(images) == 0) != (len(boxes) == 0):
        raise InvalidInputError(
            f"expected images with boxes, got {len(images)} images and {len(boxes)} boxes"
        )
    scenes = []
    for path in images:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
        if image is None:
            raise InvalidInputError(f"{path}: expected an image, cannot read one")
        rgb = np.ascontiguousarray(image[..., ::-1])
        scenes.append(Scene(path.name, rgb, np.asarray(boxes, dtype=np.float32)))
    return scenes
