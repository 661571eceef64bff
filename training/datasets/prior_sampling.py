# SPDX-License-Identifier: Apache-2.0
"""Drawing M_spec and prompt boxes for training, as imperfect as inference will give them.

At inference M_spec is the expanded box of a detector, or the previous frame's amodal mask (paper
3.2, 3.5). Training therefore draws from: the expanded true visible box with jitter, a
detector-like noisy box, a perturbed (dilated or eroded, and shifted) amodal or visible mask, and
the mask that a tracker would hand on from an earlier frame (`previous_mask`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import box_iou, boxes_to_masks, expand_boxes
from amodal_ros.image.masks import dilate_mask, mask_box
from training.datasets.previous_mask import PreviousMaskConfig, previous_mask, shifted

PriorKind = Literal["jittered_box", "noisy_box", "amodal_mask", "visible_mask", "previous"]
PRIOR_KINDS: tuple[PriorKind, ...] = (
    "jittered_box",
    "noisy_box",
    "amodal_mask",
    "visible_mask",
    "previous",
)
_STILL_KINDS = 4  # the first of them, which a list of weights at least names
_TRACKED_GROWTH = 1.06  # of the box of what was seen to the prompt of an object without detection


@dataclass(frozen=True)
class PriorSamplingConfig:
    """How far M_spec and boxes stray from the truth. Lengths are relative to the object.

    Attributes:
        kind_weights: relative frequency of each of `PRIOR_KINDS`, in that order; the fifth may
            be left out, and is 0 then.
        expand: factor on the width and height of a box that becomes M_spec (paper 4.1: 1.2).
        expand_jitter: the factor is drawn from ``expand ± expand_jitter``.
        box_jitter: standard deviation of each edge of the jittered box, times width or height.
        noise_std: the same for the noisy, detector-like box.
        noise_min_iou: a noisy box overlaps the true one at least this much.
        grow_range: dilation of a mask, times the square root of its area; negative erodes.
        shift_std: standard deviation of a mask's shift along x and y, times the same root.
        previous: how far the mask of an earlier frame strays.
    """

    kind_weights: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)
    expand: float = 1.2
    expand_jitter: float = 0.1
    box_jitter: float = 0.02
    noise_std: float = 0.08
    noise_min_iou: float = 0.5
    grow_range: tuple[float, float] = (-0.06, 0.15)
    shift_std: float = 0.06
    previous: PreviousMaskConfig = field(default_factory=PreviousMaskConfig)

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from.

        Raises:
            InvalidInputError: negative or all-zero weights, or a range the wrong way round.
        """
        count = len(self.kind_weights)
        if not _STILL_KINDS <= count <= len(PRIOR_KINDS) or min(self.kind_weights) < 0:
            raise InvalidInputError(
                f"kind_weights: four or five numbers >= 0, got {self.kind_weights}"
            )
        if sum(self.kind_weights) <= 0:
            raise InvalidInputError("kind_weights: at least one must be greater than 0")
        if self.grow_range[0] > self.grow_range[1]:
            raise InvalidInputError(f"grow_range: low before high, got {self.grow_range}")
        if not 0 <= self.noise_min_iou < 1:
            raise InvalidInputError(f"noise_min_iou: in [0, 1), got {self.noise_min_iou}")


@dataclass(frozen=True, eq=False)
class PriorSample:
    """What one training sample is prompted with.

    Attributes:
        prior_mask: (H, W) bool, M_spec, never empty.
        box_xyxy: (4,) float32 prompt box in original pixels.
        kind: how M_spec was drawn.
    """

    prior_mask: NDArray[np.bool_]
    box_xyxy: NDArray[np.float32]
    kind: PriorKind


def sample_prior(
    amodal_mask: NDArray[np.bool_],
    visible_mask: NDArray[np.bool_],
    rng: np.random.Generator,
    config: PriorSamplingConfig | None = None,
    others: NDArray[np.bool_] | None = None,
) -> PriorSample:
    """Draw M_spec and the prompt box that goes with it.

    A box-shaped M_spec comes from the same box that prompts the decoder, as at inference; with a
    mask-shaped one the prompt is a jittered visible box (the frame's own detection).

    Args:
        amodal_mask: (H, W) bool, the whole object.
        visible_mask: (H, W) bool, what is seen of it; not empty.
        rng: the only source of randomness.
        config: how far to stray; the defaults if None.
        others: (H, W) bool, what is seen of other objects, which a tracker may confuse with it;
            None: not known.

    Raises:
        InvalidInputError: an empty visible mask, or masks of different sizes.
    """
    config = config or PriorSamplingConfig()
    if amodal_mask.shape != visible_mask.shape or not visible_mask.any():
        raise InvalidInputError(
            f"amodal {amodal_mask.shape} and visible {visible_mask.shape} masks must have one "
            "size and the visible one must not be empty"
        )
    weights = np.asarray(config.kind_weights, dtype=np.float64)
    kind = PRIOR_KINDS[int(rng.choice(len(weights), p=weights / weights.sum()))]
    hw = (visible_mask.shape[0], visible_mask.shape[1])
    visible_box = np.array(mask_box(visible_mask), dtype=np.float32)
    if kind == "previous":
        return _tracked(amodal_mask, visible_mask, others, rng, config)
    if kind == "noisy_box":
        box = noisy_box(visible_box, hw, rng, config)
    else:
        box = jittered_box(visible_box, hw, rng, config.box_jitter)
    if kind in ("jittered_box", "noisy_box"):
        prior = _box_prior(box, hw, rng, config)
    else:
        source = amodal_mask if kind == "amodal_mask" else visible_mask
        prior = perturbed_mask(source, rng, config)
    return PriorSample(prior_mask=prior, box_xyxy=box, kind=kind)


def _tracked(
    amodal_mask: NDArray[np.bool_],
    visible_mask: NDArray[np.bool_],
    others: NDArray[np.bool_] | None,
    rng: np.random.Generator,
    config: PriorSamplingConfig,
) -> PriorSample:
    """M_spec and prompt of an object that is followed: from an earlier mask, as in the tracker.

    Where detections miss it, the prompt is the box about what was seen of it, moved. A mask that
    does not touch the prompt is none: the box is M_spec then.
    """
    hw = (visible_mask.shape[0], visible_mask.shape[1])
    found = previous_mask(amodal_mask, visible_mask, others, rng, config.previous)
    visible_box = np.array(mask_box(visible_mask), dtype=np.float32)
    box = jittered_box(visible_box, hw, rng, config.box_jitter)
    if rng.random() < config.previous.undetected and found.seen.any():
        about = expand_boxes([mask_box(found.seen)], _TRACKED_GROWTH)[0].astype(np.float64)
        followed = _clip_to_image(about, hw)
        if box_iou(followed, visible_box)[0, 0] >= config.noise_min_iou:
            box = followed
    x0, y0 = np.floor(box[:2]).astype(int)
    x1, y1 = np.ceil(box[2:]).astype(int)
    touches = found.prior[y0:y1, x0:x1].any()
    prior = found.prior if touches else _box_prior(box, hw, rng, config)
    return PriorSample(prior_mask=prior, box_xyxy=box, kind="previous")


def _box_prior(
    box_xyxy: NDArray[np.float32],
    hw: tuple[int, int],
    rng: np.random.Generator,
    config: PriorSamplingConfig,
) -> NDArray[np.bool_]:
    """The expanded box (4,) as a mask (H, W)."""
    factor = rng.uniform(
        config.expand - config.expand_jitter, config.expand + config.expand_jitter
    )
    prior: NDArray[np.bool_] = boxes_to_masks(expand_boxes(box_xyxy[None], factor, hw), hw)[0]
    return prior


def jittered_box(
    box_xyxy: NDArray[np.float32], hw: tuple[int, int], rng: np.random.Generator, std: float
) -> NDArray[np.float32]:
    """Move each edge by a normal step of `std` times the box's width or height.

    Args:
        box_xyxy: (4,) float32, original pixels.
        hw: image size; the result is clipped to it.
        rng: the only source of randomness.
        std: relative standard deviation; 0 returns the box as it is.

    Returns:
        (4,) float32 with at least one pixel on each side.
    """
    x0, y0, x1, y1 = (float(v) for v in box_xyxy)
    steps = rng.normal(0.0, std, size=4) if std > 0 else np.zeros(4)
    moved = np.array([x0, y0, x1, y1]) + steps * np.array([x1 - x0, y1 - y0] * 2)
    return _clip_to_image(moved, hw)


def noisy_box(
    box_xyxy: NDArray[np.float32],
    hw: tuple[int, int],
    rng: np.random.Generator,
    config: PriorSamplingConfig,
) -> NDArray[np.float32]:
    """A box as a detector might give it: centre and size both off, IoU at least `noise_min_iou`.

    Draws until the overlap suffices, each time with less noise, so it always ends.
    """
    x0, y0, x1, y1 = (float(v) for v in box_xyxy)
    width, height = x1 - x0, y1 - y0
    std = config.noise_std
    while True:
        shift_x, shift_y, log_w, log_h = rng.normal(0.0, std, size=4)
        centre_x = (x0 + x1) / 2 + shift_x * width
        centre_y = (y0 + y1) / 2 + shift_y * height
        half_w, half_h = width * np.exp(log_w) / 2, height * np.exp(log_h) / 2
        box = np.array(
            [centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h]
        )
        noisy = _clip_to_image(box, hw)
        if std < 1e-3 or box_iou(noisy, box_xyxy)[0, 0] >= config.noise_min_iou:
            return noisy
        std *= 0.7


def perturbed_mask(
    mask: NDArray[np.bool_], rng: np.random.Generator, config: PriorSamplingConfig
) -> NDArray[np.bool_]:
    """The mask dilated or eroded and shifted: coarse as last frame's prediction would be.

    Args:
        mask: (H, W) bool, not empty.
        rng: the only source of randomness.
        config: how far to stray.

    Returns:
        (H, W) bool, not empty: where erosion or the shift leaves nothing, the step is left out.
    """
    scale = float(np.sqrt(np.count_nonzero(mask)))
    amount = rng.uniform(*config.grow_range) * scale
    shift = rng.normal(0.0, config.shift_std, size=2) * scale
    grown = dilate_mask(mask, amount) if amount >= 0 else ~dilate_mask(~mask, -amount)
    if not grown.any():
        grown = mask
    moved = shifted(grown, round(float(shift[0])), round(float(shift[1])))
    return moved if moved.any() else grown


def _clip_to_image(box: NDArray[np.float64], hw: tuple[int, int]) -> NDArray[np.float32]:
    """Inside the image, at least one pixel wide and high."""
    low = np.clip(np.minimum(box[:2], box[2:]), 0, [hw[1] - 1, hw[0] - 1])
    high = np.clip(np.maximum(box[:2], box[2:]), low + 1, [hw[1], hw[0]])
    return np.concatenate([low, high]).astype(np.float32)
