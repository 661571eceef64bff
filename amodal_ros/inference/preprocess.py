# SPDX-License-Identifier: Apache-2.0
"""From an RGB image to the image encoder's tensor: the one copy, for inference and training."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from amodal_ros.checks import check_image
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.resize import resize_image


def preprocess_image(
    image_rgb: np.ndarray,
    geometry: ResizeGeometry,
    mean: Sequence[float],
    std: Sequence[float],
) -> np.ndarray:
    """Resizes, normalises, and only then pads with zeros, as `segment_anything` does.

    Args:
        image_rgb: (H, W, 3) uint8, RGB, of the geometry's original size, contiguous or not.
        geometry: where the image goes in the input.
        mean: of each channel, in [0, 255].
        std: of each channel, positive.

    Returns:
        (1, 3, S, S) float32, C-contiguous: (x - mean) / std, 0 in the padding and, with a roi,
        outside the image.

    Raises:
        InvalidInputError: for another dtype, rank or size, or an unusable mean or std.
    """
    return preprocess_regions(image_rgb, [geometry], mean, std)


def preprocess_regions(
    image_rgb: np.ndarray,
    geometries: Sequence[ResizeGeometry],
    mean: Sequence[float],
    std: Sequence[float],
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Does `preprocess_image` for n geometries of one input size: (n, 3, S, S) float32.

    `out` is such an array, C-contiguous, to write into; None: a new one.
    """
    image = check_image(image_rgb)
    for geometry in geometries:
        if image.shape[:2] != geometry.original_hw:
            raise InvalidInputError(
                f"image_rgb: expected the geometry's {geometry.original_hw}, got {image.shape[:2]}"
            )
    levels = _checked_levels(mean, std)
    shape = len(geometries), 3, *geometries[0].input_hw
    tensor = np.empty(shape, dtype=np.float32) if out is None else out
    for target, geometry in zip(tensor, geometries, strict=True):
        _fill(target, image, geometry, levels)
    return tensor


def _fill(
    target: np.ndarray, image: np.ndarray, geometry: ResizeGeometry, levels: np.ndarray
) -> None:
    """Writes one input (3, S, S): the resized content, 0 elsewhere.

    Args:
        target: where to.
        image: (H, W, 3) uint8.
        geometry: of the input.
        levels: (2, 3) float32, mean and standard deviation of each channel.
    """
    height, width = geometry.content_hw
    content = target[:, :height, :width]
    resize_image(np.ascontiguousarray(_cut(image, geometry)), geometry.content_hw, content)
    for plane, mean, std in zip(content, *levels, strict=True):
        plane -= mean
        plane /= std
    target[:, height:] = 0
    target[:, :height, width:] = 0
    _clear_outside(target, geometry)


def _checked_levels(mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Mean and standard deviation of each channel: (2, 3) float32."""
    levels = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    if any(each.shape != (3,) for each in levels) or not (levels[1] > 0).all():
        raise InvalidInputError(f"mean, std: expected 3 numbers each, std > 0; got {mean}, {std}")
    return np.stack(levels)


def _cut(image: np.ndarray, geometry: ResizeGeometry) -> np.ndarray:
    """The geometry's region of the image; where it reaches outside, border pixels are repeated."""
    height, width = geometry.original_hw
    x0, y0, x1, y1 = geometry.source_xyxy
    inside = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    margins = max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0)
    if not any(margins):
        return inside
    return cv2.copyMakeBorder(inside, *margins, cv2.BORDER_REPLICATE)


def _clear_outside(tensor: np.ndarray, geometry: ResizeGeometry) -> None:
    """Sets to 0, in place, the pixels whose centres lie outside the original image."""
    height, width = geometry.original_hw
    x0, y0, x1, y1 = geometry.source_xyxy
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        return
    (left, top), (right, bottom) = geometry.points_to_input(np.array([[0, 0], [width, height]]))
    first_x, last_x = max(int(np.ceil(left - 0.5)), 0), int(np.ceil(right - 0.5))
    first_y, last_y = max(int(np.ceil(top - 0.5)), 0), int(np.ceil(bottom - 0.5))
    tensor[:, :first_y] = 0
    tensor[:, max(last_y, 0) :] = 0
    tensor[..., :first_x] = 0
    tensor[..., max(last_x, 0) :] = 0
