# SPDX-License-Identifier: Apache-2.0
"""Composes stills (paper 3.3): a picture with its target, what goes over it, and all masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.taos.blend import (
    Patch,
    blur_boundary,
    harmonise,
    overlap_window,
    paste,
    place_mask,
)
from training.taos.config import TaosConfig
from training.taos.materials import (
    Materials,
    PhotoTarget,
    draw_patch,
    move_cut_out,
    record_name,
    take_part,
)
from training.taos.placement import place_apart, place_touching, place_with_overlap
from training.taos.target_filter import is_thin, smallest_target
from training.taos.types import CutOut, TaosSample
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


@dataclass(frozen=True)
class Plan:
    """What a sample is to be, drawn once and kept over all attempts.

    Were it drawn anew with each attempt, what is hard to make would become rare.

    Attributes:
        mode: "occluded", "touching" or "unoccluded".
        overlap: share of the target to cover, for "occluded".
    """

    mode: str
    overlap: float


def draw_plan(rng: np.random.Generator, config: TaosConfig) -> Plan:
    """Draws mode and overlap by the configured shares; clips have no "touching"."""
    draw, overlap = rng.random(), float(rng.uniform(*config.overlap))
    if draw < config.unoccluded_share:
        return Plan("unoccluded", overlap)
    if draw < config.unoccluded_share + config.touching_share and config.frames == 1:
        return Plan("touching", overlap)
    return Plan("occluded", overlap)


def compose_still(
    rng: np.random.Generator, plan: Plan, materials: Materials, config: TaosConfig
) -> TaosSample:
    """One composite.

    Raises:
        RejectedError: if this attempt came to nothing.
        CorruptRecordError: if a record drawn cannot be read.
    """
    scene = draw_scene(rng, materials, config)
    canvas = _Canvas(scene, config)
    if plan.mode == "occluded":
        _add_occluders(rng, canvas, materials, plan.overlap)
    elif plan.mode == "touching":
        _add_neighbour(rng, canvas, materials)
    elif rng.random() < 0.5:
        _add_apart(rng, canvas, materials)
    return canvas.sample(plan.mode)


class _Canvas:
    """The picture while things are pasted into it."""

    def __init__(self, scene: Scene, config: TaosConfig) -> None:
        self.scene = scene
        self.config = config
        self.image = scene.rgb.copy()
        self.occluder: np.ndarray = np.zeros(scene.amodal.shape, bool)
        self.pasted: list[dict[str, Any]] = []

    def add(self, patch: Patch, origin: dict[str, Any], *, behind_target: bool = False) -> None:
        """Pastes a patch, blurs its outline and notes where it is."""
        alpha = patch.alpha
        windows = overlap_window(alpha.shape, patch.x, patch.y, self.occluder.shape)
        if behind_target and windows is not None:
            alpha = alpha.copy()
            alpha[windows[1]] *= 1.0 - self.scene.alpha[windows[0]]
            # Strictly outside: the target's own pixels stay as they are.
            alpha[windows[1]][self.scene.amodal[windows[0]]] = 0.0
        paste(self.image, patch, alpha)
        mask = place_mask(alpha > 0.5, patch.x, patch.y, self.occluder.shape)
        blur_boundary(self.image, mask, self.config.blur_size, self.config.blur_sigma)
        self.occluder |= mask
        self.pasted.append(origin)

    def sample(self, mode: str) -> TaosSample:
        """Masks and provenance of what the canvas now shows."""
        amodal = self.scene.amodal
        blur = {"size": self.config.blur_size, "sigma": self.config.blur_sigma}
        return TaosSample(
            image=self.image,
            original=self.scene.rgb,
            amodal=amodal,
            visible=amodal & ~self.occluder,
            occlusion=amodal & self.occluder,
            occluder=self.occluder,
            provenance={
                "mode": mode,
                **self.scene.provenance,
                "occluders": self.pasted,
                "blur": blur if self.config.blur_size else None,
            },
        )


def _add_occluders(
    rng: np.random.Generator, canvas: _Canvas, materials: Materials, total: float
) -> None:
    config, amodal = canvas.config, canvas.scene.amodal
    area = int(np.count_nonzero(amodal))
    low, high = config.overlap
    count = 1 + int(rng.choice(len(config.occluder_counts), p=config.occluder_counts))
    for number in range(count):
        free = amodal & ~canvas.occluder
        left = int(np.count_nonzero(free))
        done = 1.0 - left / area
        wanted = (total - done) / (count - number)
        least = low - done if number == count - 1 else 0.0
        limits = (max(0.02, least), high - done)  # of the whole target
        if wanted <= 0.02 or limits[0] >= limits[1]:
            break
        rgb, alpha, origin = draw_patch(
            rng, materials, config, area, canvas.scene.record, cover=wanted
        )
        ratio = area / left
        place = place_with_overlap(
            rng, free, alpha > 0.5, wanted * ratio, (limits[0] * ratio, limits[1] * ratio)
        )
        if place is None:
            raise RejectedError("no_place")
        x, y, share = place
        _finish(rng, canvas, Patch(rgb, alpha, x, y), origin, covered=share / ratio)


def _add_neighbour(rng: np.random.Generator, canvas: _Canvas, materials: Materials) -> None:
    """Something beside the target, or behind it: close, but covering nothing of it."""
    area = int(np.count_nonzero(canvas.scene.amodal))
    rgb, alpha, origin = draw_patch(rng, materials, canvas.config, area, canvas.scene.record)
    if rng.random() < 0.5:
        place = place_touching(rng, canvas.scene.amodal, alpha > 0.5)
        if place is None:
            raise RejectedError("no_place")
        _finish(rng, canvas, Patch(rgb, alpha, *place), origin, relation="beside")
        return
    found = place_with_overlap(rng, canvas.scene.amodal, alpha > 0.5, 0.35, (0.05, 0.7))
    if found is None:
        raise RejectedError("no_place")
    _finish(rng, canvas, Patch(rgb, alpha, *found[:2]), origin, relation="behind")


def _add_apart(rng: np.random.Generator, canvas: _Canvas, materials: Materials) -> None:
    """Something pasted elsewhere, so that a pasted look alone does not mean an occluder."""
    area = int(np.count_nonzero(canvas.scene.amodal))
    rgb, alpha, origin = draw_patch(rng, materials, canvas.config, area, canvas.scene.record)
    place = place_apart(rng, canvas.scene.amodal, alpha > 0.5)
    if place is not None:
        _finish(rng, canvas, Patch(rgb, alpha, *place), origin, relation="apart")


def _finish(
    rng: np.random.Generator,
    canvas: _Canvas,
    patch: Patch,
    origin: dict[str, Any],
    *,
    covered: float = 0.0,
    relation: str = "front",
) -> None:
    strength = float(rng.uniform(*canvas.config.harmonise))
    patch = harmonise(patch, canvas.image, strength)
    origin["transform"] = {**origin["transform"], "x": patch.x, "y": patch.y}
    origin |= {
        "relation": relation,
        "covered": round(covered, 4),
        "harmonise": round(strength, 4),
    }
    canvas.add(patch, origin, behind_target=relation == "behind")
