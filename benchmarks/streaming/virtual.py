# SPDX-License-Identifier: Apache-2.0
"""Plays a clip on virtual time: the node's own tracker, budget and model, and a clock by hand.

Each look takes as many seconds as it is said to, however busy the machine is. So the figures are
the same on every machine, and say what an engine of that speed would reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from amodal_ros.image.boxes import box_iou
from amodal_ros.image.cropped import CroppedMask, tight_boxes
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.tracking.ahead import Ahead
from amodal_ros.tracking.asking import ask
from amodal_ros.tracking.budget import count_small, part_of
from amodal_ros.tracking.frames import BudgetedFrames, Look, Looked
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject, TrackerConfig, TrackPlan
from amodal_ros.types import AmodalPrediction
from benchmarks.streaming.clip import Mosaic
from benchmarks.streaming.played import Played, detections, named, pace
from benchmarks.streaming.scores import Answer, Masks
from export.benchmarking.contestants import Contestant

WARM_FRAMES = 10
_WARM_LOOKS = 2  # at each object, before the clip begins
_SURE = 0.9  # estimate of masks that are true


class VirtualLooks:
    """Looks that take so long for each object, by a clock that only they and the caller move.

    Attributes:
        now_s: the clock.
    """

    def __init__(self, object_s: float, small_s: float = 0.0) -> None:
        self.object_s = object_s
        self.small_s = small_s
        self.now_s = 0.0
        # What it gives, when, after how long.
        self._going: tuple[Looked, float, float] | None = None
        self._waiting: list[Callable[[], Looked]] = []

    def start(self, look: Callable[[], Looked]) -> None:
        """See `amodal_ros.tracking.frames.Looks`."""
        self._waiting.append(look)
        self._begin(self.now_s)

    def withdraw(self) -> bool:
        """See `amodal_ros.tracking.frames.Looks`."""
        return bool(self._waiting and self._waiting.pop())

    def ready(self, timeout_s: float) -> bool:
        """See `amodal_ros.tracking.frames.Looks`."""
        if self._going is None:
            return False
        ends_s, end_s = self._going[1], self.now_s + max(timeout_s, 0.0)
        self.now_s = max(self.now_s, min(ends_s, end_s))
        return ends_s <= end_s

    def collect(self) -> tuple[Looked, float]:
        """See `amodal_ros.tracking.frames.Looks`."""
        if self._going is None:
            raise RuntimeError("no look was begun")
        (found, ended_s, spent_s), self._going = self._going, None
        self._begin(ended_s)
        return found, spent_s

    def close(self) -> None:
        """Nothing goes on."""

    def begun(self, looked: Looked, at_s: float) -> None:
        """A look began; for those who count them."""

    def _begin(self, at_s: float) -> None:
        """The one that waits begins; in truth so soon as the one before ends."""
        if self._going is None and self._waiting:
            found = self._waiting.pop(0)()
            small = count_small(found.plan)
            spent_s = self.object_s * (found.looks - small) + self.small_s * small
            self._going = found, at_s + spent_s, spent_s
            self.begun(found, at_s)


class Model(Protocol):
    """Knows the masks of a frame."""

    def looker(self, number: int, picture: np.ndarray) -> Look:
        """Looks at objects of a frame of the clip."""


class RealModel:
    """The masks of a predictor, whatever time these take it."""

    def __init__(self, predictor: AmodalPredictor) -> None:
        self._predictor = predictor

    def looker(self, number: int, picture: np.ndarray) -> Look:
        """See `Model`."""
        features = self._predictor.encode(picture)
        return lambda plan: ask(self._predictor, features, plan)


class TrueModel:
    """The true masks of the object that is most like what is asked for."""

    def __init__(self, mosaic: Mosaic) -> None:
        self._mosaic = mosaic

    def looker(self, number: int, picture: np.ndarray) -> Look:
        """See `Model`."""

        def look(plan: TrackPlan) -> AmodalPrediction:
            truths = self._mosaic.truths(number).values()
            visible = [CroppedMask.of(truth.visible) for truth in truths]
            amodal = [CroppedMask.of(truth.amodal) for truth in truths]
            best = box_iou(plan.boxes_xyxy, tight_boxes(visible)).argmax(axis=1).tolist()
            sure = np.full(len(best), _SURE, np.float32)
            raw, seen = (tuple(masks[row] for row in best) for masks in (amodal, visible))
            return AmodalPrediction(plan.image_hw, raw, seen, sure)

        return look


class VirtualContestant(Protocol):
    """Answers frames on virtual time."""

    warm_s: float

    def wait(self, until_s: float) -> float:
        """Moves the clock to a moment, if that is not over; the time then."""

    def answer(self, stamp_s: float, number: int) -> tuple[float, Mapping[str, Masks]]:
        """Answers a frame of the clip: when, and with which masks."""


class VirtualNode:
    """The node's way with a frame: conversion and tracking take `own_s`, each look `object_s`.

    Args:
        mosaic: the clip.
        model: its masks.
        object_s: seconds that the model takes for an object.
        small_s: likewise for one in a smaller region; 0: all are looked at in full size.
        own_s: seconds that all else takes for a frame.
        budget_s: of a frame; 0: all objects are looked at in each.
        max_objects: the node's parameter.
        ahead_s: so long after its frame the masks are to be right; 0: in the frame itself.
    """

    def __init__(
        self,
        mosaic: Mosaic,
        model: Model,
        object_s: float,
        small_s: float,
        own_s: float,
        budget_s: float,
        max_objects: int,
        ahead_s: float = 0.0,
    ) -> None:
        self._ahead, self._ahead_s = Ahead(), ahead_s
        self._mosaic, self._model, self._budget_s = mosaic, model, budget_s
        self._own_s, self._small = own_s, small_s > 0
        self._tracker = AmodalTracker(TrackerConfig(max_objects=max_objects))
        self._looks = VirtualLooks(object_s, small_s)
        self._frames = BudgetedFrames(self._tracker, self._looks, lambda: self._looks.now_s)
        self._names: dict[int, str] = {}
        self.warm_s = _WARM_LOOKS * object_s * len(mosaic.boxes(0))

    def wait(self, until_s: float) -> float:
        """See `VirtualContestant`."""
        self._looks.now_s = max(self._looks.now_s, until_s)
        return self._looks.now_s

    def answer(self, stamp_s: float, number: int) -> tuple[float, Mapping[str, Masks]]:
        """See `VirtualContestant`."""
        picture = self._mosaic.picture(number)
        self._frames.begin()
        found = detections(self._mosaic.boxes(number))
        plan = self._tracker.plan(found, stamp_s, self._mosaic.hw, picture)
        look = self._model.looker(number, picture)
        self._looks.now_s += self._own_s / 2
        if self._budget_s > 0:
            objects, _ = self._frames.answer(plan, look, self._budget_s, stamp_s, self._small)
        else:
            objects = self._all(plan, look)
        self._looks.now_s += self._own_s / 2
        self._frames.published()
        if self._ahead_s > 0:
            objects = self._ahead.moved(objects, stamp_s, self._ahead_s)
        return self._looks.now_s, named(objects, self._names)

    def _all(self, plan: TrackPlan, look: Look) -> tuple[TrackedObject, ...]:
        """All objects are looked at, those that were lost in the frame twice."""
        if not len(plan):
            return self._tracker.update(plan, AmodalPrediction.empty(plan.image_hw))
        prediction, looks = look(plan), len(plan)
        again = self._tracker.look_again(plan, prediction)
        if again is not None:
            second = look(part_of(again.plan, again.rows))
            plan, prediction = again.plan, again.joined(prediction, second)
            looks += len(again.rows)
        self._looks.now_s += self._looks.object_s * looks
        return self._tracker.update(plan, prediction)


class VirtualBase:
    """The base model: an encoder that takes so long, then its decoder for each box."""

    warm_s = 0.0

    def __init__(
        self, mosaic: Mosaic, contestant: Contestant, encoder_s: float, box_s: float
    ) -> None:
        self._mosaic, self._contestant = mosaic, contestant
        self._encoder_s, self._box_s = encoder_s, box_s
        self._now_s = 0.0

    def wait(self, until_s: float) -> float:
        """See `VirtualContestant`."""
        self._now_s = max(self._now_s, until_s)
        return self._now_s

    def answer(self, stamp_s: float, number: int) -> tuple[float, Mapping[str, Masks]]:
        """See `VirtualContestant`."""
        boxes = self._mosaic.boxes(number)
        prompts = np.array(list(boxes.values()), np.float32)
        masks = self._contestant.run(self._mosaic.picture(number), prompts)
        self._now_s += self._encoder_s + self._box_s * len(boxes)
        found = [CroppedMask.of(mask) for mask in masks]
        return self._now_s, {name: Masks(one, one) for name, one in zip(boxes, found, strict=True)}


def play_virtually(
    mosaic: Mosaic, contestant: VirtualContestant, rate_hz: float, seconds: float
) -> Played:
    """Plays the clip to a contestant that takes the newest frame whenever it is free."""
    warm = max(WARM_FRAMES, int(np.ceil(contestant.warm_s * rate_hz)))
    begins_s = warm / rate_hz
    shown = [(count / rate_hz, 0) for count in range(warm)]
    shown += [(begins_s + time_s, number) for time_s, number in pace(mosaic, rate_hz, seconds)]
    answers = []
    for (time_s, number), (next_s, _) in zip(shown, [*shown[1:], (np.inf, 0)], strict=True):
        if contestant.wait(time_s) >= next_s:
            continue  # a newer one is there
        came_s, objects = contestant.answer(time_s, number)
        if time_s >= begins_s:
            answers.append(Answer(came_s - begins_s, objects))
    return Played([(time_s - begins_s, number) for time_s, number in shown[warm:]], answers)
