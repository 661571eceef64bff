# SPDX-License-Identifier: Apache-2.0
"""Occluders: objects, or parts of them, from other images, brought to a suitable size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from training.taos.blend import transform
from training.taos.config import TaosConfig
from training.taos.materials import Materials
from training.taos.types import CutOut
from training.untrusted import RejectedError


def move_cut_out(
    rng: np.random.Generator, cut: CutOut, scale: float, config: TaosConfig
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Mirrors and rotates at random, scales as told; returns rgb, alpha and what was done."""
    flip = bool(rng.random() < 0.5)
    turned = rng.random() < 0.5
    angle = float(rng.uniform(-config.rotation_deg, config.rotation_deg)) if turned else 0.0
    rgb, alpha = transform(cut, scale, angle, flip)
    move = {"scale": round(scale, 5), "rotation_deg": round(angle, 3), "flip": flip}
    return rgb, alpha, move


def draw_patch(
    rng: np.random.Generator,
    materials: Materials,
    config: TaosConfig,
    target_area: int,
    record: str,
    cover: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """An occluder (or part of one) from another image, of suitable size for the target.

    Args:
        rng: of this attempt.
        materials: sources to draw from.
        config: settings.
        target_area: in pixels.
        record: the target's image, which the occluder must not come from.
        cover: share of the target it is to cover; it is not made smaller than that needs.

    Returns:
        rgb (h, w, 3) uint8, alpha (h, w) float32, provenance.

    Raises:
        RejectedError: if the object would have to be enlarged too much.
    """
    cut = materials.draw_occluder(rng, other_than=record)
    part = None
    if rng.random() < config.part_share:
        cut, part = take_part(rng, cut)
    low, high = config.occluder_ratio
    low = min(max(low, 1.15 * cover), high)
    possible = config.max_upscale**2 * cut.area / target_area
    if possible < low:
        raise RejectedError("occluder_small")
    ratio = float(rng.uniform(low, min(high, possible)))
    scale = float(np.sqrt(ratio * target_area / cut.area))
    rgb, alpha, move = move_cut_out(rng, cut, scale, config)
    real = float(np.count_nonzero(alpha > 0.5)) / target_area
    if not low * 0.95 <= real <= high * 1.05:
        raise RejectedError("occluder_size")
    return rgb, alpha, {**cut.origin, "part": part, "transform": move, "ratio": round(real, 4)}


def take_part(rng: np.random.Generator, cut: CutOut) -> tuple[CutOut, dict[str, float]]:
    """Keeps 30 to 80 % of an object: what lies on one side of a slightly curved line."""
    angle = float(rng.uniform(0, 2 * np.pi))
    bend = float(rng.uniform(-0.6, 0.6))
    share = float(rng.uniform(0.3, 0.8))
    height, width = cut.alpha.shape
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    side = float(max(height, width))
    u, v = (xs - width / 2) / side, (ys - height / 2) / side
    along = -u * np.sin(angle) + v * np.cos(angle)
    field = u * np.cos(angle) + v * np.sin(angle) + bend * along**2
    keep = field <= np.quantile(field[cut.alpha > 0.5], share)
    alpha = np.where(keep, cut.alpha, np.float32(0.0))
    count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.5).astype(np.uint8))
    if count > 2:  # only the largest piece: a part is one thing
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        alpha = np.where(labels == largest, alpha, np.float32(0.0))
    description = {"angle": round(angle, 4), "bend": round(bend, 4), "share": round(share, 4)}
    return CutOut(cut.rgb, alpha, cut.soft, cut.origin), description
