# SPDX-License-Identifier: Apache-2.0
"""What has been added to a shape: a thing that was seen whole does not grow by a part.

An object may come nearer, turn, or be another size to the model: then all of its outline changes.
If its old shape, turned a little, still lies in the new one and fills a place of its own there,
the rest was added: an arm that is joined to what it holds.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.track import compose, move_mask

_GROWN = 1.05  # factor of area from which on something may have been added
_KEPT = 0.85  # share of the old shape that lies in the new one, where something was added
_SAME_SHAPE = 0.85  # IoU of two shapes drawn out to one size, from which on all of it changed
_TURNS = (0.0, -10.0, 10.0, -20.0, 20.0, -30.0, 30.0, -40.0, 40.0)  # degrees
_BETWEEN = (-5.0, 5.0)  # likewise, from the best of these
_SIDE = 32  # pixels of the longer side of the pictures that are laid over each other
_SAMPLES = 4  # of a pixel of these along each axis
_RIM = 0.05  # of the square root of its area: so far the old shape may deform


def added_part(shape: CroppedMask, mask: CroppedMask, least_growth: float = _GROWN) -> CroppedMask:
    """What of a mask was added to a shape; empty where nothing was.

    Args:
        shape: all of the object, some time ago.
        mask: what is said to be visible of it now.
        least_growth: factor of area from which on something may have been added.
    """
    nothing = mask.empty(mask.image_hw)
    if shape.is_empty or mask.area < least_growth * shape.area:
        return nothing
    scale = _SIDE / max(*shape.crop.shape, *mask.crop.shape)
    small, target = _small(shape, scale), _small(mask, scale)
    if _are_one_shape(small, target):
        return nothing
    laid = compose(_to_image(mask, scale), compose(_laid_over(small, target), _from(shape, scale)))
    kept = move_mask(shape, laid)
    if kept.is_empty or kept.share_in(mask) < _KEPT:
        return nothing
    return _thick_parts(mask - kept.dilated(_RIM * math.sqrt(shape.area), 2), scale)


def _thick_parts(part: CroppedMask, scale: float) -> CroppedMask:
    """Those that are two pixels of a small picture thick: a spout may lie a little beside it."""
    if part.is_empty:
        return part
    thick = cv2.morphologyEx(
        (_small(part, scale) > 0.5).view(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)
    )
    near = cv2.dilate(thick, np.ones((3, 3), np.uint8))
    near = cv2.resize(near, part.crop.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return CroppedMask.at(part.image_hw, part.box_xyxy[:2], part.crop & near.view(bool))


def _laid_over(shape: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The motion (2, 3), a shift and a turn of at most 45 degrees, that lays one over the other.

    Args:
        shape: (h, w) float32 picture, see `_small`.
        mask: (k, l) float32, likewise.
    """
    height, width = shape.shape
    side = math.ceil(math.hypot(height, width))
    field = cv2.copyMakeBorder(mask, *(side,) * 4, cv2.BORDER_CONSTANT)
    middle = (width / 2 - 0.5, height / 2 - 0.5)

    def laid(turn: float) -> tuple[float, float, np.ndarray]:
        turned = cv2.getRotationMatrix2D(middle, turn, 1.0)
        turned[:, 2] += (side - width) / 2, (side - height) / 2
        template = cv2.warpAffine(shape, turned, (side, side))
        overlap = cv2.matchTemplate(field, template, cv2.TM_CCORR)
        _, most, _, corner = cv2.minMaxLoc(overlap)
        turned[:, 2] += np.array(corner) - side
        return most, turn, turned

    best = max((laid(turn) for turn in _TURNS), key=lambda found: found[0])
    closer = [best, *(laid(best[1] + turn) for turn in _BETWEEN)]
    return max(closer, key=lambda found: found[0])[2]


def _are_one_shape(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two small pictures are much the same when both are drawn out to one size."""
    first, second = (cv2.resize(picture, (_SIDE, _SIDE)) > 0.5 for picture in (one, other))
    both, either = np.count_nonzero(first & second), np.count_nonzero(first | second)
    return bool(both >= _SAME_SHAPE * either)


def _small(mask: CroppedMask, scale: float) -> np.ndarray:
    """(h, w) float32: the share of each pixel that a mask covers in a small picture."""
    height, width = mask.crop.shape
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    step = max(int(1 / (_SAMPLES * scale)), 1)
    samples = mask.crop[::step, ::step].astype(np.float32)
    return cv2.resize(samples, size, interpolation=cv2.INTER_AREA)


# OpenCV's coordinates are 0 at the middle of the first pixel.
def _from(mask: CroppedMask, scale: float) -> np.ndarray:
    """(2, 3), from pixels of the image to those of `_small`."""
    x0, y0 = mask.box_xyxy[:2]
    return np.array([[scale, 0.0, -scale * x0 - 0.5], [0.0, scale, -scale * y0 - 0.5]])


def _to_image(mask: CroppedMask, scale: float) -> np.ndarray:
    x0, y0 = mask.box_xyxy[:2]
    return np.array([[1 / scale, 0.0, x0 + 0.5 / scale], [0.0, 1 / scale, y0 + 0.5 / scale]])
