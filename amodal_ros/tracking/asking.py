# SPDX-License-Identifier: Apache-2.0
"""Asks a predictor what a plan wants to know, with what the model remembers if it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.object_memory import ObjectMemory
from amodal_ros.tracking.types import TrackPlan
from amodal_ros.types import AmodalPrediction, ImageFeatures, PointPrompt

Points = Sequence[PointPrompt | None] | None


class Asked(Protocol):
    """What is needed of `amodal_ros.inference.predictor.AmodalPredictor`."""

    @property
    def remembers(self) -> bool:
        """Whether the model has a memory of its own."""

    @property
    def looks_small(self) -> bool:
        """Whether objects can be looked at in smaller regions."""

    def predict(
        self,
        features: ImageFeatures,
        boxes_xyxy: np.ndarray,
        prior_masks: Sequence[CroppedMask | None],
        *,
        points: Points = None,
        small: np.ndarray | None = None,
        tight: np.ndarray | None = None,
    ) -> AmodalPrediction:
        """Masks of N objects."""

    def follow(
        self,
        features: ImageFeatures,
        boxes_xyxy: np.ndarray,
        prior_masks: Sequence[CroppedMask | None],
        memories: Sequence[ObjectMemory | None],
        prompted: Sequence[bool],
        *,
        points: Points = None,
    ) -> AmodalPrediction:
        """Masks of N objects of a stream."""


def ask(predictor: Asked, features: ImageFeatures, plan: TrackPlan) -> AmodalPrediction:
    """The answer to a plan, or to a part of one.

    Args:
        predictor: the model.
        features: of the plan's image.
        plan: of the frame.

    Raises:
        BackendError: when the engine fails.
    """
    points = plan.points if any(one is not None for one in plan.points) else None
    if not predictor.remembers:
        wanted = features, plan.boxes_xyxy, plan.prior_masks
        if plan.small is None or not predictor.looks_small:  # it may have been exchanged
            return predictor.predict(*wanted, points=points, tight=plan.tight)
        return predictor.predict(*wanted, points=points, small=plan.small, tight=plan.tight)
    return predictor.follow(
        *(features, plan.boxes_xyxy, plan.prior_masks, plan.model_memories, plan.prompted),
        points=points,
    )
