# SPDX-License-Identifier: Apache-2.0
"""Real images and boxes for the gate, from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.verification.report import Scene


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
