# SPDX-License-Identifier: Apache-2.0
"""Who decides whether a composite is valid (paper 3.3 asks a VLM; geometry comes first)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from training.taos.config import TaosConfig
from training.taos.pieces import piece_areas
from training.taos.target_filter import smallest_target
from training.taos.types import TaosSample

_MIN_VISIBLE_PX = 150


@dataclass(frozen=True)
class Verdict:
    """A judge's answer.

    Attributes:
        accepted: whether the composite may be used.
        reason: snake_case key to count a refusal under; "" when accepted.
        conclusive: False when the judge could not judge; the sample is then left out
            instead of being drawn again.
    """

    accepted: bool
    reason: str = ""
    conclusive: bool = True


class CompositeJudge(Protocol):
    """Anything that can judge a composite; it must not raise for a composite it dislikes."""

    def judge(self, sample: TaosSample) -> Verdict:
        """Looks at one composite."""


class GeometricJudge:
    """Judges by masks alone: how much is hidden, what is left, and in how many pieces."""

    def __init__(self, config: TaosConfig) -> None:
        """Takes its limits from the configuration."""
        self._config = config

    def judge(self, sample: TaosSample) -> Verdict:
        """See `CompositeJudge.judge`."""
        reason = self._reason(sample)
        return Verdict(accepted=not reason, reason=reason)

    def _reason(self, sample: TaosSample) -> str:
        config = self._config
        area = int(np.count_nonzero(sample.amodal))
        share = area / sample.amodal.size
        if not smallest_target(sample.amodal, config) <= share <= config.target_area[1]:
            return "judge_target_size"
        rate = sample.occlusion_rate
        mode = sample.provenance.get("mode")
        if mode != "occluded" and rate > 0.0:
            return "judge_unwanted_overlap"
        if mode == "occluded" and rate > config.overlap[1]:
            return "judge_overlap_high"
        moving = "frame" in sample.provenance  # a clip is judged by its peak elsewhere
        if mode == "occluded" and rate < config.overlap[0] and not moving:
            return "judge_overlap_low"
        if int(np.count_nonzero(sample.visible)) < _MIN_VISIBLE_PX:
            return "judge_visible_small"
        pieces = int(np.count_nonzero(piece_areas(sample.visible) >= 0.03 * area))
        if pieces > config.max_fragments:
            return "judge_fragments"
        return ""


class JudgePanel:
    """Asks several judges in turn; the first refusal decides."""

    def __init__(self, *judges: CompositeJudge) -> None:
        """Cheapest judge first."""
        self._judges = judges

    def judge(self, sample: TaosSample) -> Verdict:
        """See `CompositeJudge.judge`."""
        for judge in self._judges:
            verdict = judge.judge(sample)
            if not verdict.accepted:
                return verdict
        return Verdict(accepted=True)
