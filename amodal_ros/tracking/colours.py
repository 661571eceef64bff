# SPDX-License-Identifier: Apache-2.0
"""Which colours an object has: a histogram of Lab's two colour axes, without brightness.

Shadow changes these little, and a thing that comes over another one seldom has its colours. Nor
does blur, which changes the embeddings of a thing that moves fast.
"""

from __future__ import annotations

import cv2
import numpy as np

from amodal_ros.image.cropped import BoxXyxy, CroppedMask
from amodal_ros.tracking.scene import SceneView

_BINS = 16  # of each of Lab's two colour axes
_FEWEST_PIXELS = 8  # of the thumbnail
_BLUR = (5, 5), 1.0  # of the histogram, in bins: colours that are nearly the same share bins
_SELDOM = 1e-3  # share of the pixels: a colour that neither has more of says nothing


def colours_of(scene: SceneView, mask: CroppedMask) -> np.ndarray | None:
    """Colours under a mask.

    Args:
        scene: of the frame.
        mask: of the original image.

    Returns:
        (256,) float32 with sum 1; None where the mask covers hardly a pixel of the thumbnail.
    """
    x0, y0, x1, y1 = _thumbnail_box(scene, np.array(mask.box_xyxy, np.float64))
    if x0 >= x1 or y0 >= y1:
        return None
    scale = scene.scale_xy
    left, top = mask.box_xyxy[:2]
    x = ((np.arange(x0, x1) + 0.5) * scale[0] - left).astype(int).clip(0, mask.crop.shape[1] - 1)
    y = ((np.arange(y0, y1) + 0.5) * scale[1] - top).astype(int).clip(0, mask.crop.shape[0] - 1)
    return _histogram(_hues(scene, (x0, y0, x1, y1)), mask.crop[np.ix_(y, x)].view(np.uint8))


def colours_in(scene: SceneView, cells: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray | None:
    """Colours of some cells of a grid.

    Args:
        scene: of the frame.
        cells: (h, w) bool, those that count.
        box_xyxy: (4,) original pixels that the grid covers; it may leave the image.

    Returns:
        See `colours_of`.
    """
    fine = _whole_box(scene, box_xyxy)
    x0, y0, x1, y1 = fine
    size = max(x1 - x0, 1), max(y1 - y0, 1)
    under = cv2.resize(cells.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    left, top, right, bottom = _inside(scene, fine)
    if left >= right or top >= bottom:
        return None
    under = np.ascontiguousarray(under[top - y0 : bottom - y0, left - x0 : right - x0])
    return _histogram(_hues(scene, (left, top, right, bottom)), under)


def colour_margin(
    scene: SceneView,
    own: np.ndarray,
    beside: np.ndarray,
    box_xyxy: np.ndarray,
    hw: tuple[int, int],
) -> np.ndarray:
    """How much more the colours of a grid's cells are an object's than those of what is beside it.

    Args:
        scene: of the frame.
        own: (256,) float32, colours of the object.
        beside: (256,) float32, of what lies beside it.
        box_xyxy: (4,) original pixels that the grid covers; it may leave the image.
        hw: (h, w), number of cells.

    Returns:
        (h, w) float32 in [-1, 1]; 0 for colours that both or neither have, and all 0 where object
        and surroundings share most of their colours.
    """
    told = max(1 - 2 * shared_colours(own, beside), 0.0)
    height, width = hw
    if told == 0:
        return np.zeros(hw, np.float32)
    levels = told * (own - beside) / (own + beside + _SELDOM)
    fine = _whole_box(scene, box_xyxy)
    x0, y0, x1, y1 = fine
    left, top, right, bottom = _inside(scene, fine)
    if left >= right or top >= bottom:
        return np.zeros(hw, np.float32)
    values = levels[_hues(scene, (left, top, right, bottom))]
    values = cv2.copyMakeBorder(
        *(values, top - y0, y1 - bottom, left - x0, x1 - right, cv2.BORDER_CONSTANT), value=0.0
    )
    shrinks = width <= x1 - x0 and height <= y1 - y0
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (width, height), interpolation=kind), np.float32)


def shared_colours(one: np.ndarray | None, other: np.ndarray | None) -> float:
    """Intersection of two histograms, 0 to 1; 1 where one is not known."""
    if one is None or other is None:
        return 1.0
    return float(np.minimum(one, other).sum())


def _histogram(hues: np.ndarray, under: np.ndarray) -> np.ndarray | None:
    """Of pixels (h, w) uint8 where `under` is not 0; None for hardly any."""
    if cv2.countNonZero(under) < _FEWEST_PIXELS:
        return None
    counts = cv2.calcHist([hues], [0], under, [_BINS * _BINS], [0, _BINS * _BINS])
    counts = counts.reshape(_BINS, _BINS)
    blurred = cv2.GaussianBlur(counts, *_BLUR, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred / blurred.sum(), np.float32).ravel()


def _whole_box(scene: SceneView, box_xyxy: np.ndarray) -> BoxXyxy:
    """A box in whole pixels of the thumbnail."""
    x0, y0, x1, y1 = np.round(box_xyxy / np.tile(scene.scale_xy, 2)).astype(int).tolist()
    return x0, y0, x1, y1


def _inside(scene: SceneView, box: BoxXyxy) -> BoxXyxy:
    """What of a box lies in the thumbnail."""
    height, width = scene.grey.shape
    x0, y0, x1, y1 = box
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def _hues(scene: SceneView, box: BoxXyxy) -> np.ndarray:
    """(h, w) uint8 of a box of the thumbnail: the step of each colour axis, in four bits each."""
    x0, y0, x1, y1 = box
    rgb = np.ascontiguousarray(scene.rgb[y0:y1, x0:x1])
    lab: np.ndarray = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    return np.asarray((lab[..., 1] & 0xF0) | (lab[..., 2] >> 4))


def _thumbnail_box(scene: SceneView, box_xyxy: np.ndarray) -> BoxXyxy:
    return _inside(scene, _whole_box(scene, box_xyxy))
