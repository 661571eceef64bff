# SPDX-License-Identifier: Apache-2.0
"""Clips: target and occluder on smooth seeded paths over a panning background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from training.taos.blend import (
    Patch,
    blur_boundary,
    harmonise,
    overlap_window,
    paste,
    place_mask,
    unpremultiply,
)
from training.taos.compose import Plan
from training.taos.config import TaosConfig
from training.taos.materials import Materials, PhotoTarget, draw_patch, record_name
from training.taos.placement import place_with_overlap
from training.taos.target_filter import smallest_target
from training.taos.types import CutOut, TaosClip, TaosSample
from training.untrusted import RejectedError

TRACK_ID = 1
_ZOOM = 1.3


@dataclass(frozen=True, eq=False)
class Sprite:
    """A thing that moves.

    Attributes:
        layer: (h, w, 4) float32, premultiplied RGBA, RGB in [0, 255], alpha in [0, 1].
        hard: whether its alpha must stay 0 or 1.
        centres: (T, 2) float64 x, y in image pixels.
        scales: (T,) float64.
        angles: (T,) float64 degrees.
    """

    layer: np.ndarray
    hard: bool
    centres: np.ndarray
    scales: np.ndarray
    angles: np.ndarray

    def patch(self, frame: int) -> Patch:
        """The sprite as it stands in one frame, with sub-pixel position."""
        height, width = self.layer.shape[:2]
        scale = float(self.scales[frame])
        matrix = cv2.getRotationMatrix2D(
            (width / 2 - 0.5, height / 2 - 0.5), float(self.angles[frame]), scale
        )
        reach = int(np.ceil(np.hypot(width, height) * scale)) + 4
        corner = np.floor(self.centres[frame] - reach / 2)
        matrix[:, 2] += self.centres[frame] - corner - (width / 2 - 0.5, height / 2 - 0.5)
        moved = cv2.warpAffine(self.layer, matrix, (reach, reach), flags=cv2.INTER_LINEAR)
        x, y, _, _ = cv2.boundingRect((moved[..., 3] > (0.5 if self.hard else 1 / 255)).view("u1"))
        rgb, alpha = unpremultiply(moved, self.hard)
        return Patch(rgb, alpha, int(corner[0]) + x, int(corner[1]) + y)


def smooth_path(rng: np.random.Generator, frames: int, size: int, reach: float) -> np.ndarray:
    """(T, size) float64 smooth path around 0, within +-reach: three slow sines."""
    times = np.linspace(0.0, 1.0, frames)[:, None]
    path = np.zeros((frames, size))
    for _ in range(3):
        pace = rng.uniform(0.15, 0.6, size)
        phase = rng.uniform(0.0, 2 * np.pi, size)
        path += rng.uniform(0.3, 1.0, size) * np.sin(2 * np.pi * pace * times + phase)
    return path * (reach / 3.0)


def compose_clip(
    rng: np.random.Generator, plan: Plan, materials: Materials, config: TaosConfig
) -> TaosClip:
    """One clip of `config.frames` frames with one target.

    In occluded clips the occluder crosses the target: at one moment it covers a share within
    the overlap range, and in no frame more than the range allows. Other clips have no
    occluder at all.

    Raises:
        RejectedError: if this attempt came to nothing.
        CorruptRecordError: if a record drawn cannot be read.
    """
    drawn = materials.draw_target(rng)
    cut = drawn.as_cut_out() if isinstance(drawn, PhotoTarget) else drawn
    background, background_origin = materials.draw_background(rng)
    hw = background.shape[:2]
    views = _pan(rng, background, config.frames)
    target = _target_sprite(rng, cut, hw, views[0], config)
    provenance: dict[str, Any] = {
        "mode": "unoccluded",
        "target": dict(cut.origin),
        "background": background_origin,
        "occluders": [],
        "blur": {"size": config.blur_size, "sigma": config.blur_sigma}
        if config.blur_size
        else None,
        "track_id": TRACK_ID,
    }
    occluder = None
    if plan.mode == "occluded":
        record = record_name(cut.origin)
        occluder, origin = _occluder_sprite(
            rng, materials, target, views, config, record, plan.overlap
        )
        provenance |= {"mode": "occluded", "occluders": [origin]}
    frames = tuple(
        _frame(views[t], t, target, occluder, config, provenance) for t in range(config.frames)
    )
    if occluder is not None:
        peak = max(frame.occlusion_rate for frame in frames)
        if peak < config.overlap[0]:
            raise RejectedError("clip_overlap_low")
        if peak > config.overlap[1]:
            raise RejectedError("clip_overlap_high")
    return TaosClip(frames)


def _pan(rng: np.random.Generator, background: np.ndarray, frames: int) -> list[np.ndarray]:
    """Crops of the enlarged background along a smooth path, with sub-pixel steps."""
    height, width = background.shape[:2]
    slack = np.array([(_ZOOM - 1) * width, (_ZOOM - 1) * height])
    path = slack / 2 + smooth_path(rng, frames, 2, 0.9) * slack / 2
    views = []
    for offset in path:
        matrix = np.array([[_ZOOM, 0.0, -offset[0]], [0.0, _ZOOM, -offset[1]]])
        views.append(
            cv2.warpAffine(
                background,
                matrix,
                (width, height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )
    return views


def _sprite(cut: CutOut, centres: np.ndarray, scales: np.ndarray, angles: np.ndarray) -> Sprite:
    alpha = cut.alpha[..., None]
    layer = np.dstack([cut.rgb.astype(np.float32) * alpha, alpha])
    largest = float(scales.max())
    if largest < 1.0:  # shrink once by area averaging, then move by interpolation
        size = tuple(max(2, round(s * largest)) for s in (layer.shape[1], layer.shape[0]))
        layer = cv2.resize(layer, size, interpolation=cv2.INTER_AREA)
        scales = scales / largest
    return Sprite(layer, not cut.soft, centres, scales, angles)


def _target_sprite(
    rng: np.random.Generator,
    cut: CutOut,
    hw: tuple[int, int],
    scene: np.ndarray,
    config: TaosConfig,
) -> Sprite:
    low, high = smallest_target(cut.alpha > 0.5, config), config.target_area[1]
    pixels = hw[0] * hw[1]
    share = float(np.exp(rng.uniform(np.log(max(low, 1e-4) * 1.3), np.log(high / 1.3))))
    room = 0.8 * min(hw[0] / cut.alpha.shape[0], hw[1] / cut.alpha.shape[1])
    scale = min(float(np.sqrt(share * pixels / cut.area)), config.max_upscale, room)
    if cut.area * scale**2 < 1.25 * low * pixels:
        raise RejectedError("target_small")
    frames = config.frames
    scales = scale * (1.0 + smooth_path(rng, frames, 1, 0.1)[:, 0])
    angles = smooth_path(rng, frames, 1, config.rotation_deg)[:, 0]
    half = 0.5 * float(scales.max()) * np.array([cut.alpha.shape[1], cut.alpha.shape[0]]) + 8
    centre_room = np.array([hw[1], hw[0]]) / 2 - half
    if centre_room.min() < 0:
        raise RejectedError("target_does_not_fit")
    middle = np.array([hw[1], hw[0]]) / 2
    centres = middle + smooth_path(rng, frames, 2, 1.0) * centre_room
    centre = tuple(int(v) for v in centres[0])
    toned = harmonise(
        Patch(cut.rgb, cut.alpha),
        _around(scene, centre, cut.alpha.shape),
        float(rng.uniform(*config.harmonise)),
    )
    return _sprite(CutOut(toned.rgb, cut.alpha, cut.soft, cut.origin), centres, scales, angles)


def _around(scene: np.ndarray, centre: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """Part of the scene of at most `size` about a point, never empty."""
    y0, x0 = max(0, centre[1] - size[0] // 2), max(0, centre[0] - size[1] // 2)
    return scene[y0 : y0 + max(8, size[0]), x0 : x0 + max(8, size[1])]


def _occluder_sprite(
    rng: np.random.Generator,
    materials: Materials,
    target: Sprite,
    views: list[np.ndarray],
    config: TaosConfig,
    record: str,
    wanted: float,
) -> tuple[Sprite, dict[str, Any]]:
    """An occluder that reaches the wanted overlap at one moment and drifts away from it."""
    frames = config.frames
    moment = int(rng.integers(frames))
    patch = target.patch(moment)
    amodal = place_mask(patch.solid, patch.x, patch.y, views[0].shape[:2])
    area = int(np.count_nonzero(amodal))
    if area == 0:
        raise RejectedError("target_small")
    rgb, alpha, origin = draw_patch(rng, materials, config, area, record, cover=wanted)
    place = place_with_overlap(rng, amodal, alpha > 0.5, wanted, config.overlap)
    if place is None:
        raise RejectedError("no_place")
    x, y, covered = place
    strength = float(rng.uniform(*config.harmonise))
    toned = harmonise(Patch(rgb, alpha, x, y), views[moment], strength)
    middle = np.array([x + alpha.shape[1] / 2, y + alpha.shape[0] / 2])
    away = middle - target.centres[moment]
    away /= max(float(np.hypot(*away)), 1e-6)
    sideways = np.array([-away[1], away[0]]) * rng.choice((-1.0, 1.0))
    heading = away * rng.uniform(0.3, 1.0) + sideways * rng.uniform(0.0, 1.0)
    times = np.linspace(0.0, 1.0, frames)
    travel = rng.uniform(0.4, 1.2) * float(np.sqrt(area))
    drift = np.abs(times - times[moment])[:, None] * heading * travel
    swing = smooth_path(rng, frames, 2, 0.08 * float(np.sqrt(area)))
    centres = target.centres - target.centres[moment] + middle + drift + swing - swing[moment]
    turn = smooth_path(rng, frames, 1, config.rotation_deg)[:, 0]
    hard = not np.any((alpha > 0) & (alpha < 1))
    cut = CutOut(toned.rgb, alpha, not hard, origin)
    sprite = _sprite(cut, centres, np.ones(frames), turn - turn[moment])
    return sprite, {
        **origin,
        "relation": "front",
        "covered": round(covered, 4),
        "moment": moment,
        "harmonise": round(strength, 4),
    }


def _frame(
    view: np.ndarray,
    number: int,
    target: Sprite,
    occluder: Sprite | None,
    config: TaosConfig,
    provenance: dict[str, Any],
) -> TaosSample:
    hw = view.shape[:2]
    original = view.copy()
    patch = target.patch(number)
    paste(original, patch)
    amodal = place_mask(patch.solid, patch.x, patch.y, hw)
    blur_boundary(original, amodal, config.blur_size, config.blur_sigma)
    image, cover = original.copy(), np.zeros(hw, bool)
    if occluder is not None:
        front = occluder.patch(number)
        paste(image, front)
        if overlap_window(front.alpha.shape, front.x, front.y, hw) is not None:
            cover = place_mask(front.solid, front.x, front.y, hw)
        blur_boundary(image, cover, config.blur_size, config.blur_sigma)
    return TaosSample(
        image=image,
        original=original,
        amodal=amodal,
        visible=amodal & ~cover,
        occlusion=amodal & cover,
        occluder=cover,
        provenance={**provenance, "frame": number},
    )
