# SPDX-License-Identifier: Apache-2.0
"""Masks that end where the picture has an edge.

The decoder's logits have cells of 4 input pixels, and each of them comes from features of 16. What
is thin comes out too fat by a pixel at each side, and gaps of a few pixels are filled. The picture
itself knows better where a thing ends: so the visible mask's probabilities are filtered with the
region's own pixels as the guide (He, Sun, Tang: Guided Image Filtering, TPAMI 2013, with the
colour guide of its Eqs. 14 to 16). Within each small window they become that linear function of
the colour which is nearest to them, so that they change where the colour does. Before that, what
the model is unsure of goes to the side whose colours it has (`region_colours.py`).

A hidden edge is in no picture. So the amodal mask takes what has changed where it agrees with the
visible one, and stays as it is elsewhere. Nothing is trained for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from amodal_ros.image.cropped import BoxXyxy, CroppedMask
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.masks import mask_box
from amodal_ros.inference.region_colours import with_colours

_SHARPNESS = 2.0  # factor of the logits: what is surely in or out stays so
_NEAR = 2.0  # logits that differ by this much count a third as one (`with_shared_outline`)
_FAR = 3.0  # below the threshold by this much no pixel comes back
_RADIUS_CELLS, _RADIUS_PX = 2, 3  # of a window: at least so many cells of the logits, and pixels
_NOISE = 1e-4  # variance of the guide that is no edge: 2.5 of 255 levels, squared
_FINEST = 224  # pixels across a region; a larger one is made smaller, for time

Pair = tuple[CroppedMask, CroppedMask]


def fine_masks(
    image: np.ndarray,
    geometries: Sequence[ResizeGeometry],
    amodal: np.ndarray,
    visible: np.ndarray,
    threshold: float,
) -> list[Pair]:
    """Carries the logits of N objects to masks of the image that end at its edges.

    Args:
        image: (H, W, 3) uint8, RGB.
        geometries: N regions of the image.
        amodal: (N, 1, s, s) float32, in the input frame.
        visible: the same.
        threshold: of the logits.

    Returns:
        The amodal and the visible mask of each object.
    """
    return [
        _fine(image, geometry, whole - threshold, seen - threshold)
        for geometry, whole, seen in zip(geometries, amodal[:, 0], visible[:, 0], strict=True)
    ]


def _fine(
    image: np.ndarray, geometry: ResizeGeometry, amodal: np.ndarray, visible: np.ndarray
) -> Pair:
    """Both masks of one object, from logits (s, s) whose threshold is 0."""
    x0, _, x1, _ = geometry.source_xyxy
    cell = (x1 - x0) / visible.shape[1]  # image pixels
    margin = max(_RADIUS_CELLS * cell, _RADIUS_PX)
    box = _about(np.maximum(amodal, visible) > -_FAR, geometry, cell, margin)
    if box is None:
        nothing = CroppedMask.empty(geometry.original_hw)
        return nothing, nothing
    left, top, right, bottom = box
    hw = bottom - top, right - left
    fine = _resized(image[top:bottom, left:right], hw, min(_FINEST / (x1 - x0), 1.0))
    # The lines are fitted where the logits are, and followed where the pixels are.
    guide = _resized(image[top:bottom, left:right], hw, min(1 / cell, 1.0))
    whole, seen = (
        _sampled(logits, guide.shape[:2], box, geometry) for logits in (amodal, visible)
    )
    near = np.exp(-np.square((whole - seen) / np.float32(_NEAR)))
    coloured = _probabilities(with_colours(guide, seen, _SHARPNESS))
    whole, seen = _probabilities(whole), _probabilities(seen)
    radius = max(_RADIUS_CELLS, round(_RADIUS_PX * min(1 / cell, 1.0)))
    found = guided_filter(guide, coloured, radius, _NOISE, fine)
    both = _enlarged(near, found.shape) * found + _enlarged(whole - near * seen, found.shape)
    masks = (
        CroppedMask.at(geometry.original_hw, (left, top), _enlarged(values, hw) > 0.5)
        for values in (both, found)
    )
    return next(masks), next(masks)


def _resized(part: np.ndarray, hw: tuple[int, int], factor: float) -> np.ndarray:
    """A part of an image (h, w, 3), made smaller where the factor is below 1."""
    if factor == 1:
        return part
    size = max(round(hw[1] * factor), 1), max(round(hw[0] * factor), 1)
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA)


def _enlarged(values: np.ndarray, hw: tuple[int, ...]) -> np.ndarray:
    """(h, w) float32, interpolated bilinearly to another size."""
    if values.shape == hw:
        return values
    return cv2.resize(values, hw[::-1], interpolation=cv2.INTER_LINEAR)


def _about(
    near: np.ndarray, geometry: ResizeGeometry, cell: float, margin: float
) -> BoxXyxy | None:
    """The image's pixels about some cells (s, s) bool of the logits; None: there are none."""
    x0, y0, x1, y1 = mask_box(near)
    if x1 == 0:
        return None
    left, top, right, bottom = geometry.source_xyxy
    height, width = geometry.original_hw
    found = (
        max(int(np.floor(left + x0 * cell - margin)), left, 0),
        max(int(np.floor(top + y0 * cell - margin)), top, 0),
        min(int(np.ceil(left + x1 * cell + margin)), right, width),
        min(int(np.ceil(top + y1 * cell + margin)), bottom, height),
    )
    return found if found[0] < found[2] and found[1] < found[3] else None


def _sampled(
    logits: np.ndarray, guide_hw: tuple[int, int], box: BoxXyxy, geometry: ResizeGeometry
) -> np.ndarray:
    """Logits (s, s), interpolated bilinearly at the centres of guide pixels: float32."""
    left, top, right, bottom = box
    x0, y0, x1, y1 = geometry.source_xyxy
    across = (right - left) / guide_hw[1], logits.shape[1] / (x1 - x0)
    down = (bottom - top) / guide_hw[0], logits.shape[0] / (y1 - y0)
    columns = ((np.arange(guide_hw[1]) + 0.5) * across[0] + left - x0) * across[1] - 0.5
    rows = ((np.arange(guide_hw[0]) + 0.5) * down[0] + top - y0) * down[1] - 0.5
    return _mixed(_mixed(logits, rows), columns, axis=1)


def _mixed(values: np.ndarray, positions: np.ndarray, axis: int = 0) -> np.ndarray:
    """Linear interpolation along an axis; at the ends the last one is repeated."""
    last = values.shape[axis] - 1
    positions = np.clip(positions, 0, last)
    lower = np.minimum(positions.astype(np.intp), max(last - 1, 0))
    weights = (positions - lower).astype(np.float32)
    low = values.take(lower, axis=axis)
    step = values.take(np.minimum(lower + 1, last), axis=axis)
    step -= low
    step *= weights if axis else weights[:, None]
    step += low
    return step


def _probabilities(logits: np.ndarray) -> np.ndarray:
    # Far beyond what changes anything, where float32 would overflow.
    return 1 / (1 + np.exp(-_SHARPNESS * np.clip(logits, -30, 30)))


def guided_filter(
    guide: np.ndarray, values: np.ndarray, radius: int, noise: float, fine: np.ndarray
) -> np.ndarray:
    """He, Sun and Tang's filter with a guide of three channels, fitted on a smaller picture.

    Args:
        guide: (h, w, 3) uint8.
        values: (h, w) float32, what is filtered.
        radius: of the square windows, in pixels.
        noise: variance of a channel, of 1, that counts as flat (their epsilon).
        fine: (H, W, 3) uint8, the same picture in more pixels, or the guide itself (He, Sun: Fast
            Guided Filter, 2015).

    Returns:
        (H, W) float32.
    """
    # Planes about their means: in float32 a variance is then no difference of large numbers.
    means = cv2.mean(guide)[:3]
    r, g, b = _planes(guide, means)
    side = 2 * radius + 1

    def mean(plane: np.ndarray) -> np.ndarray:
        return cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT)

    mr, mg, mb, mv = mean(r), mean(g), mean(b), mean(values)
    rr, gg, bb = (mean(c * c) - m * m + np.float32(noise) for c, m in ((r, mr), (g, mg), (b, mb)))
    rg, rb, gb = mean(r * g) - mr * mg, mean(r * b) - mr * mb, mean(g * b) - mg * mb
    rv, gv, bv = (mean(c * values) - m * mv for c, m in ((r, mr), (g, mg), (b, mb)))
    # Cramer's rule for the 3 x 3 covariance of each window (their Eq. 14).
    c_rr, c_rg, c_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c_gg, c_gb, c_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    scale = 1 / (c_rr * rr + c_rg * rg + c_rb * rb)
    slope_r = (c_rr * rv + c_rg * gv + c_rb * bv) * scale
    slope_g = (c_rg * rv + c_gg * gv + c_gb * bv) * scale
    slope_b = (c_rb * rv + c_gb * gv + c_bb * bv) * scale
    found = _enlarged(mean(mv - slope_r * mr - slope_g * mg - slope_b * mb), fine.shape[:2])
    for slope, plane in zip((slope_r, slope_g, slope_b), _planes(fine, means), strict=True):
        plane *= _enlarged(mean(slope), fine.shape[:2])
        found += plane
    return found


def _planes(picture: np.ndarray, means: Sequence[float]) -> list[np.ndarray]:
    """Three channels (h, w) float32 of 1, about their means."""
    scale = np.float32(1 / 255)
    return [
        (plane.astype(np.float32) - np.float32(mean)) * scale
        for plane, mean in zip(cv2.split(picture), means, strict=True)
    ]
