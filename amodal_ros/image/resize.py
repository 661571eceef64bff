# SPDX-License-Identifier: Apache-2.0
"""Resizing of images as SAM expects it: Pillow's bilinear filter, by OpenCV's fast parts.

`segment_anything` resizes with Pillow, which smooths where it shrinks and rounds after each axis.
A mask moves by up to 2 % of its area where a resize is off by a single grey level, so it matters.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from amodal_ros.image.scratch import Scratch

_scratch = Scratch()
_HALF = np.float32(0.5 + 2**-12)  # of a level, with room for what float32 rounds off of a half


def resize_image(
    image: np.ndarray, hw: tuple[int, int], out: np.ndarray | None = None
) -> np.ndarray:
    """Resizes an image much as Pillow's bilinear filter does.

    Enlarging equals Pillow but where a value lies between two levels; shrinking is close to it
    (the filter has the same width, not the same shape).

    Args:
        image: (H, W, 3) uint8, C-contiguous.
        hw: the new (height, width).
        out: (3, height, width) float32, where to; rows without gaps. None: a new array.

    Returns:
        (3, height, width) float32, planes of whole grey levels.
    """
    planes = np.empty((3, *hw), np.float32) if out is None else out
    if image.shape[0] <= hw[0] and image.shape[1] <= hw[1]:
        _enlarge(image, planes)
        return planes
    small = cv2.resize(_smooth_for(image, hw), hw[::-1], interpolation=cv2.INTER_LINEAR)
    for plane, values in zip(planes, cv2.split(small), strict=True):
        plane[...] = values
    return planes


def _enlarge(image: np.ndarray, planes: np.ndarray) -> None:
    """Does `resize_image` where no axis shrinks.

    In float32: OpenCV's exact filter for uint8 takes twice as long, and its weights have eight
    bits.
    """
    (height, width), hw = image.shape[:2], planes.shape[1:]
    # Interpolation keeps what is added everywhere: so halves are rounded up after each axis.
    levels = np.add(image, _HALF, out=_scratch.part("levels", image.shape), dtype=np.float32)
    if width < hw[1]:
        wide = _scratch.part("wide", (height, hw[1], 3))
        levels = cv2.resize(levels, (hw[1], height), wide, interpolation=cv2.INTER_LINEAR)
        np.floor(levels, out=levels)
        levels += _HALF
    if height < hw[0]:
        high = _scratch.part("levels", (*hw, 3))
        levels = cv2.resize(levels, hw[::-1], high, interpolation=cv2.INTER_LINEAR)
    cv2.split(levels, list(planes))
    for plane in planes:
        np.floor(plane, out=plane)


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
