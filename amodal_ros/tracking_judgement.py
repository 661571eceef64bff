# SPDX-License-Identifier: Apache-2.0
"""What of an answer is believed: an object that coasts may be hidden, a mask may have drifted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from amodal_ros.masks import mask_iou
from amodal_ros.track_types import TrackerConfig

_INSIDE = 0.8  # share of what is visible of an object that lies in its amodal mask
_COVERED = 0.5  # least share of the visible mask that an amodal mask covers which has not drifted


@dataclass(frozen=True, eq=False)
class Answer:
    """What the predictor said of one object, and what had been expected.

    Attributes:
        raw: (H, W) bool, amodal mask as decoded.
        visible: (H, W) bool, mask of the unadapted pass.
        predicted_iou: the decoder's estimate for `raw`.
        expected: (H, W) bool, the last trusted amodal mask, moved; None: there was none.
        expected_visible: (H, W) bool, what was visible before, moved; None: nothing was.
        guided: whether M_spec was the previous mask, not the box.
    """

    raw: np.ndarray
    visible: np.ndarray
    predicted_iou: float
    expected: np.ndarray | None
    expected_visible: np.ndarray | None
    guided: bool


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is published and kept of an object.

    Attributes:
        amodal: (H, W) bool.
        visible: (H, W) bool, inside it.
        trusted: the amodal mask may guide the next frames.
        drifted: the next M_spec is the box.
    """

    amodal: np.ndarray
    visible: np.ndarray
    trusted: bool
    drifted: bool


def judge_detected(answer: Answer, config: TrackerConfig) -> Judgement:
    """An object that a detection supports: its mask counts, unless it has drifted.

    Drift: the decoder doubts its mask, its area jumped, or it misses what is visible. A mask that
    came from the box is the best there is, so it always counts if it is not empty.
    """
    amodal = answer.raw | answer.visible
    if not amodal.any():
        return Judgement(amodal, answer.visible, trusted=False, drifted=True)
    drifted = answer.guided and (
        answer.predicted_iou < config.min_predicted_iou
        or _area_jumped(answer.raw, answer.expected, config.max_area_jump)
        or _share(answer.visible, answer.raw) < _COVERED
    )
    return Judgement(amodal, answer.visible, trusted=not drifted, drifted=drifted)


def judge_coasting(answer: Answer, config: TrackerConfig) -> Judgement:
    """An object that no detection supports: hidden, overlooked, or gone.

    The unadapted pass segments whatever lies at its place, so its mask counts only if it is the
    predicted object's, or what was visible of it before. Nothing is united. If the decoder's
    amodal mask is not like the expected one, that one stays.
    """
    amodal = answer.raw
    follows = True
    if answer.expected is not None:
        follows = mask_iou(answer.raw, answer.expected) >= config.coast_iou
        amodal = answer.raw if follows else answer.expected
    continues = (
        answer.expected_visible is not None
        and mask_iou(answer.visible, answer.expected_visible) >= config.agreement_iou
        and _share(answer.visible, amodal) >= _INSIDE
    )
    seen = continues or mask_iou(answer.visible, amodal) >= config.agreement_iou
    visible = answer.visible & amodal if seen else np.zeros_like(answer.visible)
    sure = follows and answer.predicted_iou >= config.min_predicted_iou
    return Judgement(amodal, visible, trusted=seen and sure, drifted=False)


def _area_jumped(mask: np.ndarray, expected: np.ndarray | None, limit: float) -> bool:
    """Whether the area changed by more than a factor of `limit`, up or down."""
    if expected is None or not expected.any():
        return False
    ratio = np.count_nonzero(mask) / np.count_nonzero(expected)
    return not 1 / limit <= ratio <= limit


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    """Share of a mask's pixels that lie in another; 1 for an empty one."""
    area = np.count_nonzero(part)
    return np.count_nonzero(part & whole) / area if area else 1.0
