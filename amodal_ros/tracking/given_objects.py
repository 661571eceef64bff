# SPDX-License-Identifier: Apache-2.0
"""An object that a user gives, checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from amodal_ros.checks import check_array
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import check_boxes
from amodal_ros.inference.prompts import check_points_inside
from amodal_ros.tracking.shape import Silhouette
from amodal_ros.tracking.state import Track
from amodal_ros.types import PointPrompt


def given_track(
    box_xyxy: ArrayLike,
    amodal_mask: np.ndarray | None,
    points: PointPrompt | None,
    class_id: str,
    score: float,
    stamp_s: float,
    image_hw: tuple[int, int] | None,
) -> Track:
    """A pinned track without an identity yet; see `AmodalTracker.add_object`.

    Args:
        box_xyxy: (4,) pixels.
        amodal_mask: (H, W) bool; None: not known.
        points: on the object and off it; None: none.
        class_id: of the object.
        score: in [0, 1].
        stamp_s: time of the newest frame; -inf before the first.
        image_hw: its (height, width); None before the first.

    Raises:
        InvalidInputError: naming the argument, what came and what was expected.
    """
    box = check_boxes("box_xyxy", np.asarray(box_xyxy, np.float32).reshape(1, -1), image_hw)
    if not 0 <= score <= 1:
        raise InvalidInputError(f"score: expected a number in [0, 1], got {score}")
    if points is not None and image_hw is not None:
        check_points_inside("points", points, image_hw)
    shape = None
    if amodal_mask is not None:
        if image_hw is None:
            raise InvalidInputError("amodal_mask: expected none before the first frame")
        shape = Silhouette.of(check_array("amodal_mask", amodal_mask, np.bool_, image_hw))
        if shape is None:
            raise InvalidInputError("amodal_mask: expected at least one pixel, got none")
    return Track(
        *(-1, class_id, "", score, stamp_s, stamp_s),
        detected_box=box[0].astype(np.float64),
        shape=shape,
        seen=shape,
        pinned=True,
        given=True,
        points=points,
    )
