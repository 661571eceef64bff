# SPDX-License-Identifier: Apache-2.0
"""Resizing of images as SAM was trained with it: Pillow's bilinear filter, by OpenCV's fast parts.

`segment_anything` resizes with Pillow, which smooths where it shrinks and rounds after each axis.
A mask moves by up to 2 % of its area where a resize is off by a single grey level, so it matters.
"""

from __future__ import annotations

import math

import cv2
import numpy as np


def resize_image(image: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """Resizes an image much as Pillow's bilinear filter does.

    Enlarging equals Pillow but for roundings of few pixels; shrinking is close to it (the filter
    has the same width, not the same shape).

    Args:
        image: (H, W, 3) uint8, C-contiguous.
        hw: the new (height, width).

    Returns:
        (height, width, 3) uint8.
    """
    height, width = image.shape[:2]
    if (height, width) == hw:
        return image
    if height <= hw[0] and width <= hw[1]:
        wide = cv2.resize(image, (hw[1], height), interpolation=cv2.INTER_LINEAR_EXACT)
        return cv2.resize(wide, hw[::-1], interpolation=cv2.INTER_LINEAR_EXACT)
    image = _smooth_for(image, hw)
    return cv2.resize(image, hw[::-1], interpolation=cv2.INTER_LINEAR)


def _smooth_for(image: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """Widens, along each axis that shrinks, the filter that linear interpolation will be.

    Pillow's triangle reaches `ratio` source pixels to each side: variance ratio^2 / 6. Averages
    over blocks of k pixels, three taps (a, 1 - 2a, a) and linear interpolation together have
    (k^2 - 1) / 12 + k^2 (2a + 1/6); a makes the two equal.
    """
    sizes = zip(image.shape[:2], hw, strict=True)
    ratios = [max(before / after, 1.0) for before, after in sizes]
    blocks = [math.ceil(ratio / 2) for ratio in ratios]
    if max(blocks) > 1:
        reduced = [round(size / k) for size, k in zip(image.shape[:2], blocks, strict=True)]
        image = cv2.resize(image, reduced[::-1], interpolation=cv2.INTER_AREA)
    taps = []
    for ratio, k in zip(ratios, blocks, strict=True):
        variance = (ratio**2 / 6 - (k**2 - 1) / 12) / k**2
        side = (variance - 1 / 6) / 2
        taps.append(np.array([side, 1 - 2 * side, side], dtype=np.float32))
    return cv2.sepFilter2D(image, -1, taps[1], taps[0], borderType=cv2.BORDER_REPLICATE)
