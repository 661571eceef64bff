# SPDX-License-Identifier: Apache-2.0
"""The original picture: a target in its own photo, or pasted whole over a background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.taos.blend import Patch, blur_boundary, harmonise, paste, place_mask
from training.taos.config import TaosConfig
from training.taos.materials import Materials, PhotoTarget, record_name
from training.taos.occluders import move_cut_out, take_part
from training.taos.pieces import is_thin
from training.taos.target_filter import smallest_target
from training.taos.types import CutOut
from training.untrusted import RejectedError


@dataclass(frozen=True, eq=False)
class Scene:
    """The original picture with its target, before anything is put over it.

    Attributes:
        rgb: (H, W, 3) uint8.
        amodal: (H, W) bool.
        alpha: (H, W) float32, soft where the target's source has soft alpha.
        record: image the target came from.
        provenance: of the target and its background.
    """

    rgb: np.ndarray
    amodal: np.ndarray
    alpha: np.ndarray
    record: str
    provenance: dict[str, Any]


def draw_scene(rng: np.random.Generator, materials: Materials, config: TaosConfig) -> Scene:
    """Draws a target: in its own photo, or pasted over a background."""
    target = materials.draw_target(rng)
    if isinstance(target, PhotoTarget):
        return Scene(
            rgb=target.photo.read_rgb(),
            amodal=target.mask,
            alpha=target.mask.astype(np.float32),
            record=record_name(target.origin),
            provenance={"target": target.origin, "background": None},
        )
    background, background_origin = materials.draw_background(rng)
    patch, move = _fit_target(rng, target, background.shape[:2], config)
    strength = float(rng.uniform(*config.harmonise))
    patch = harmonise(patch, background, strength)
    rgb = background.copy()
    paste(rgb, patch)
    amodal = place_mask(patch.solid, patch.x, patch.y, rgb.shape[:2])
    blur_boundary(rgb, amodal, config.blur_size, config.blur_sigma)
    alpha = np.zeros(rgb.shape[:2], np.float32)
    height, width = patch.alpha.shape
    alpha[patch.y : patch.y + height, patch.x : patch.x + width] = patch.alpha
    return Scene(
        rgb=rgb,
        amodal=amodal,
        alpha=alpha,
        record=record_name(target.origin),
        provenance={
            "target": {**target.origin, "transform": move, "harmonise": round(strength, 4)},
            "background": background_origin,
        },
    )


def _fit_target(
    rng: np.random.Generator, cut: CutOut, hw: tuple[int, int], config: TaosConfig
) -> tuple[Patch, dict[str, Any]]:
    """Scales a cut-out into the size range and puts it wholly inside the picture."""
    pixels = hw[0] * hw[1]
    part = None
    may_cut = config.thin_part_share > 0 and is_thin(cut.alpha > 0.5)
    if may_cut and rng.random() < config.thin_part_share:
        cut, part = take_part(rng, cut)
    low, high = smallest_target(cut.alpha > 0.5, config), config.target_area[1]
    share = float(np.exp(rng.uniform(np.log(max(low, 1e-4)), np.log(high))))
    scale = float(np.sqrt(share * pixels / cut.area))
    margin = 2 * config.border_margin + 2
    room = min((hw[0] - margin) / cut.alpha.shape[0], (hw[1] - margin) / cut.alpha.shape[1])
    scale = min(scale, config.max_upscale, 0.97 * room)
    rgb, alpha, move = move_cut_out(rng, cut, scale, config)
    height, width = alpha.shape
    area = int(np.count_nonzero(alpha > 0.5))
    if not low * pixels <= area <= high * pixels:
        raise RejectedError("target_small" if area < low * pixels else "target_large")
    free = (hw[0] - height - 2 * config.border_margin, hw[1] - width - 2 * config.border_margin)
    if min(free) < 1:
        raise RejectedError("target_does_not_fit")
    y = config.border_margin + int(rng.integers(free[0]))
    x = config.border_margin + int(rng.integers(free[1]))
    if part is not None:
        move["part"] = part
    return Patch(rgb, alpha, x, y), {**move, "x": x, "y": y}
