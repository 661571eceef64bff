# SPDX-License-Identifier: Apache-2.0
"""At each frame's time, the newest published masks against that frame's truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from benchmarks.common import percent
from benchmarks.streaming.clip import LEAST_PX, Truth


@dataclass(frozen=True, eq=False)
class Masks:
    """What was published of an object."""

    visible: CroppedMask
    amodal: CroppedMask

    @classmethod
    def of(cls, visible: np.ndarray, amodal: np.ndarray) -> Masks:
        """Those of masks (H, W) bool."""
        return cls(CroppedMask.of(visible), CroppedMask.of(amodal))


@dataclass(frozen=True, eq=False)
class Answer:
    """What was published at one moment."""

    arrival_s: float
    objects: Mapping[str, Masks]


class TruthSource(Protocol):
    """Knows the truth of a frame."""

    def truths(self, number: int) -> Mapping[str, Truth]:
        """By object."""


@dataclass(frozen=True)
class Score:
    """Means over all objects of all frames, in percent; None: there were none.

    Attributes:
        miou_full: IoU of the amodal masks; of what is not published 0.
        miou_occ: IoU of the hidden parts, of objects of which something is hidden.
        visible_iou: IoU of the visible masks.
        answers_hz: answers published in a second.
    """

    miou_full: float | None
    miou_occ: float | None
    visible_iou: float | None
    answers_hz: float


def score(
    frames: Sequence[tuple[float, int]], answers: Sequence[Answer], source: TruthSource
) -> Score:
    """Scores what was published while frames were played.

    The first frame counts only if an answer to it came at once, as offline: of a stream that goes
    on there would be one to the frame before.

    Args:
        frames: (time, number in the clip) of each.
        answers: in the order of their arrival.
        source: the clip.
    """
    full: list[float] = []
    occluded: list[float] = []
    visible: list[float] = []
    newest = -1
    at_once = bool(answers) and answers[0].arrival_s <= frames[0][0]
    for time_s, number in frames if at_once else frames[1:]:
        while newest + 1 < len(answers) and answers[newest + 1].arrival_s <= time_s:
            newest += 1
        known = answers[newest].objects if newest >= 0 else {}
        for name, truth in source.truths(number).items():
            if np.count_nonzero(truth.visible) < LEAST_PX:
                continue
            masks, true = known.get(name), Masks.of(truth.visible, truth.amodal)
            full.append(0.0 if masks is None else masks.amodal.iou(true.amodal))
            visible.append(0.0 if masks is None else masks.visible.iou(true.visible))
            true_hidden = true.amodal - true.visible
            if true_hidden.area >= LEAST_PX:
                hidden = None if masks is None else masks.amodal - masks.visible
                occluded.append(0.0 if hidden is None else hidden.iou(true_hidden))
    span_s = max(frames[-1][0] - frames[0][0], 1e-3)
    rate_hz = round(len(answers) / span_s, 2)
    return Score(percent(full), percent(occluded), percent(visible), rate_hz)
