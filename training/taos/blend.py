# SPDX-License-Identifier: Apache-2.0
"""Pixels: cutting out, moving, harmonising, pasting, and the blur of Eq. 6."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.taos.types import CutOut


@dataclass(frozen=True, eq=False)
class Patch:
    """A cut-out brought to its final size, with the place of its top left corner.

    Attributes:
        rgb: (h, w, 3) uint8.
        alpha: (h, w) float32 in [0, 1].
        x: column of the left edge in the image (may be negative).
        y: row of the top edge (may be negative).
    """

    rgb: np.ndarray
    alpha: np.ndarray
    x: int = 0
    y: int = 0

    @property
    def solid(self) -> np.ndarray:
        """(h, w) bool: alpha > 0.5."""
        return self.alpha > 0.5


def cut_from_photo(rgb: np.ndarray, mask: np.ndarray, erode_px: int) -> tuple[np.ndarray, ...]:
    """Crops an object out of a photo.

    Args:
        rgb: (H, W, 3) uint8.
        mask: (H, W) bool, not empty.
        erode_px: pixels taken off the outline; annotated outlines are rough and would carry
            a fringe of the old background along.

    Returns:
        rgb (h, w, 3) uint8 with the object's colours spread over the outline, and alpha
        (h, w) float32 of zeros and ones.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    part: np.ndarray = np.pad(mask[y : y + height, x : x + width].astype(np.uint8), 1)
    if erode_px:
        part = cv2.erode(part, _disc(erode_px))
    alpha = part[1:-1, 1:-1].astype(np.float32)
    return np.ascontiguousarray(rgb[y : y + height, x : x + width]), alpha


def transform(
    cut: CutOut, scale: float, rotation_deg: float, flip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Scales, rotates about the centre and mirrors; hard masks stay hard.

    Colours are resampled premultiplied, so nothing bleeds in from outside the object.

    Returns:
        rgb (h, w, 3) uint8 and alpha (h, w) float32, trimmed to alpha > 0.
    """
    rgb, alpha = cut.rgb, cut.alpha
    if flip:
        rgb, alpha = rgb[:, ::-1], alpha[:, ::-1]
    layer = np.dstack([rgb.astype(np.float32) * alpha[..., None], alpha])
    if scale < 1.0:  # area averaging keeps shrunk objects from aliasing
        size = tuple(max(1, round(side * scale)) for side in (layer.shape[1], layer.shape[0]))
        layer = cv2.resize(layer, size, interpolation=cv2.INTER_AREA)
        scale = 1.0
    height, width = layer.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), rotation_deg, scale)
    cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
    out_w = int(np.ceil(width * cosine + height * sine)) + 2
    out_h = int(np.ceil(width * sine + height * cosine)) + 2
    matrix[:, 2] += ((out_w - width) / 2, (out_h - height) / 2)
    if rotation_deg or scale != 1.0:
        layer = cv2.warpAffine(layer, matrix, (out_w, out_h), flags=cv2.INTER_LINEAR)
    return unpremultiply(layer, hard=not cut.soft)


def unpremultiply(layer: np.ndarray, hard: bool) -> tuple[np.ndarray, np.ndarray]:
    """Splits a premultiplied (h, w, 4) float32 layer into trimmed rgb uint8 and alpha."""
    alpha = np.clip(layer[..., 3], 0.0, 1.0)
    rgb = layer[..., :3] / np.maximum(layer[..., 3:], 1e-4)
    if hard:
        alpha = (alpha > 0.5).astype(np.float32)
    alpha[alpha < 1 / 255] = 0.0
    x, y, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    window = (slice(y, y + max(1, height)), slice(x, x + max(1, width)))
    rgb8 = np.clip(rgb[window] + 0.5, 0, 255).astype(np.uint8)
    return rgb8, np.ascontiguousarray(alpha[window], dtype=np.float32)


def overlap_window(
    patch_hw: tuple[int, int], x: int, y: int, hw: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Slices of the image and of the patch where both exist, or None when apart."""
    top, left = max(0, y), max(0, x)
    bottom, right = min(hw[0], y + patch_hw[0]), min(hw[1], x + patch_hw[1])
    if top >= bottom or left >= right:
        return None
    return (
        (slice(top, bottom), slice(left, right)),
        (slice(top - y, bottom - y), slice(left - x, right - x)),
    )


def place_mask(mask: np.ndarray, x: int, y: int, hw: tuple[int, int]) -> np.ndarray:
    """A (h, w) bool mask put into an empty (H, W) bool image at (x, y)."""
    out = np.zeros(hw, bool)
    windows = overlap_window(mask.shape, x, y, hw)
    if windows is not None:
        out[windows[0]] = mask[windows[1]]
    return out


def harmonise(patch: Patch, scene: np.ndarray, strength: float) -> Patch:
    """Moves the patch's colours a little towards the scene's around it.

    Mean and spread of lightness, and mean of the two colour axes (Lab), each by `strength`
    in [0, 1] of the way, limited so that the object keeps its own look.
    """
    windows = overlap_window(patch.alpha.shape, patch.x, patch.y, scene.shape[:2])
    if windows is None or strength <= 0.0 or not patch.solid.any():
        return patch
    around = cv2.cvtColor(np.ascontiguousarray(scene[windows[0]]), cv2.COLOR_RGB2LAB)
    own = cv2.cvtColor(patch.rgb, cv2.COLOR_RGB2LAB)
    scene_mean, scene_std = (v.ravel() for v in cv2.meanStdDev(around))
    own_mean, own_std = (v.ravel() for v in cv2.meanStdDev(own, mask=patch.solid.astype(np.uint8)))
    gain = np.ones(3)
    gain[0] = np.clip((scene_std[0] + 8.0) / (own_std[0] + 8.0), 0.8, 1.25) ** strength
    limit = np.array([25.0, 10.0, 10.0])
    shift = np.clip(strength * (scene_mean - own_mean), -limit, limit)
    levels = np.arange(256, dtype=np.float64)[:, None]
    table = np.clip((levels - own_mean) * gain + own_mean + shift + 0.5, 0, 255).astype(np.uint8)
    moved = cv2.LUT(own, table.reshape(256, 1, 3))
    return Patch(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB), patch.alpha, patch.x, patch.y)


def paste(image: np.ndarray, patch: Patch, alpha: np.ndarray | None = None) -> None:
    """Alpha-blends a patch into (H, W, 3) uint8 `image` in place.

    Args:
        image: changed in place.
        patch: what to paste.
        alpha: (h, w) float32 to use instead of the patch's own.
    """
    windows = overlap_window(patch.alpha.shape, patch.x, patch.y, image.shape[:2])
    if windows is None:
        return
    used = (patch.alpha if alpha is None else alpha)[windows[1]][..., None]
    below = image[windows[0]].astype(np.float32)
    above = patch.rgb[windows[1]].astype(np.float32)
    image[windows[0]] = (below + used * (above - below) + 0.5).astype(np.uint8)


def boundary_band(mask: np.ndarray, size: int) -> np.ndarray:
    """(H, W) bool: pixels whose size x size neighbourhood meets both sides of the outline.

    The image border is no outline.
    """
    kernel = np.ones((size, size), np.uint8)
    binary = mask.astype(np.uint8)
    return cv2.dilate(binary, kernel) != cv2.erode(binary, kernel)


def blur_boundary(image: np.ndarray, mask: np.ndarray, size: int, sigma: float) -> None:
    """Eq. 6: replaces the pixels along the outline of `mask` by their Gaussian mean, in place.

    The outline is that of the pasted object, outside the target as well as over it. Blurring
    only where it crosses the target, or along the target's hidden outline, would write the
    answer into the picture.

    Args:
        image: (H, W, 3) uint8, changed in place.
        mask: (H, W) bool of the pasted object.
        size: odd kernel side in pixels; 0 changes nothing.
        sigma: of the kernel, in pixels.
    """
    if not size or not mask.any():
        return
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    reach = 2 * size
    rows = slice(max(0, y - reach), min(mask.shape[0], y + height + reach))
    columns = slice(max(0, x - reach), min(mask.shape[1], x + width + reach))
    crop = image[rows, columns]
    band = boundary_band(mask[rows, columns], size)
    smooth = cv2.GaussianBlur(crop, (size, size), sigma, borderType=cv2.BORDER_REPLICATE)
    crop[band] = smooth[band]


def _disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
