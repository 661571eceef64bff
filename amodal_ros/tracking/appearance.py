# SPDX-License-Identifier: Apache-2.0
"""What an object looks like: the colours of what is visible of it."""

from __future__ import annotations

import numpy as np

from amodal_ros.image.masks import mask_box
from amodal_ros.tracking.frame_motion import SceneView

_BINS = 6  # of each colour
_MOST_PIXELS = 1500
_FEWEST_PIXELS = 12
_SHARE_OF_NEW = 0.25
_ALIKE = 0.5  # least overlap of two histograms that may show one object


def look_of(scene: SceneView | None, mask: np.ndarray) -> np.ndarray | None:
    """Histogram of the colours under a mask: (6, 6, 6) float32 with sum 1, softened.

    Args:
        scene: of the frame; None: no image was given.
        mask: (H, W) bool, original pixels.

    Returns:
        None where nothing can be said: without an image, or for hardly a pixel.
    """
    if scene is None:
        return None
    x0, y0, x1, y1 = mask_box(mask)
    rows, columns = np.nonzero(mask[y0:y1, x0:x1])
    if len(rows) < _FEWEST_PIXELS:
        return None
    step = -(-len(rows) // _MOST_PIXELS)
    height, width = scene.rgb.shape[:2]
    x = np.minimum(((columns[::step] + x0) / scene.scale_xy[0]).astype(int), width - 1)
    y = np.minimum(((rows[::step] + y0) / scene.scale_xy[1]).astype(int), height - 1)
    return _softened(_histogram(scene.rgb[y, x]))


def alike(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Whether two looks may be one object's; True where nothing is known."""
    if one is None or other is None:
        return True
    return float(np.minimum(one, other).sum()) >= _ALIKE


def remember_look(known: np.ndarray | None, new: np.ndarray | None) -> np.ndarray | None:
    """The look after a new sight of the object: it follows slowly."""
    if known is None or new is None:
        return known if new is None else new
    return (1 - _SHARE_OF_NEW) * known + _SHARE_OF_NEW * new


def _histogram(colours: np.ndarray) -> np.ndarray:
    """(6, 6, 6) float32 with sum 1 of (K, 3) uint8: a colour counts for the bins beside it."""
    places = np.clip(colours * (_BINS / 256) - 0.5, 0, _BINS - 1)
    low = np.minimum(places.astype(np.int64), _BINS - 2)
    high_share = places - low
    counts = np.zeros(_BINS**3)
    for corner in np.ndindex(2, 2, 2):
        weights = np.where(corner, high_share, 1 - high_share).prod(axis=1)
        cells = (low + corner) @ np.array([_BINS * _BINS, _BINS, 1])
        counts += np.bincount(cells, weights, minlength=_BINS**3)
    return (counts / len(colours)).astype(np.float32).reshape(_BINS, _BINS, _BINS)


def _softened(look: np.ndarray) -> np.ndarray:
    """Each bin shares with its neighbours; nothing is lost at the ends."""
    for axis in range(3):
        look = np.moveaxis(look, axis, 0)
        padded = np.concatenate([look[:1], look, look[-1:]])
        soft = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
        look = np.moveaxis(soft, 0, axis)
    return look
