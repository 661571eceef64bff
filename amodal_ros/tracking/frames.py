# SPDX-License-Identifier: Apache-2.0
"""Answers each frame of a camera in time, however long the model takes for an object.

The model looks at some objects of a frame beside the thread that answers. What it said within the
frame's budget is in that frame's answer. What comes later is moved to the frame in which it comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from amodal_ros.tracking.budget import BudgetStatus, FrameBudget, part_of
from amodal_ros.tracking.tracker import AmodalTracker
from amodal_ros.tracking.types import TrackedObject, TrackPlan
from amodal_ros.types import AmodalPrediction

_USED = 0.9  # share of the budget that looks may take: the answer is made afterwards

Look = Callable[[TrackPlan], AmodalPrediction]


class Looks(Protocol):
    """Runs one look after another beside the caller."""

    def start(self, look: Callable[[], AmodalPrediction]) -> None:
        """Begins a look; the one before has been collected."""

    def ready(self, timeout_s: float) -> bool:
        """Whether the look has ended; waits for that up to so many seconds."""

    def collect(self) -> tuple[AmodalPrediction, float]:
        """What it gave, and how many seconds it took; raises what it raised."""

    def close(self) -> None:
        """Waits for the look that is going on."""


class ThreadLooks:
    """`Looks` in a thread of its own, which begins with the first look."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._future: Future[tuple[AmodalPrediction, float]] | None = None

    def start(self, look: Callable[[], AmodalPrediction]) -> None:
        """See `Looks`."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="amodal_look")

        def timed() -> tuple[AmodalPrediction, float]:
            begun = time.perf_counter()
            return look(), time.perf_counter() - begun

        self._future = self._pool.submit(timed)

    def ready(self, timeout_s: float) -> bool:
        """See `Looks`."""
        if self._future is None:
            return False
        return bool(wait([self._future], max(timeout_s, 0.0)).done)

    def collect(self) -> tuple[AmodalPrediction, float]:
        """See `Looks`."""
        future, self._future = self._future, None
        if future is None:
            raise RuntimeError("no look was begun")
        return future.result()

    def close(self) -> None:
        """See `Looks`."""
        if self._pool is not None:
            self._pool.shutdown()


@dataclass(frozen=True, eq=False)
class _Pending:
    """A look that goes on after its frame.

    Attributes:
        plan: of the objects that are looked at.
        poses: (2, 3) of each track when that frame had been planned.
    """

    plan: TrackPlan
    poses: dict[int, np.ndarray]


class BudgetedFrames:
    """Frames of one camera; all methods are called by the thread that answers them.

    Args:
        tracker: of the camera.
        looks: runs the model; None: in a thread.
        clock: seconds.
    """

    def __init__(
        self,
        tracker: AmodalTracker,
        looks: Looks | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._tracker = tracker
        self._looks = looks or ThreadLooks()
        self._clock = clock
        self._budget = FrameBudget()
        self._pending: _Pending | None = None

    @property
    def status(self) -> BudgetStatus:
        """Of the last frame."""
        return self._budget.status

    def begin(self, wait_s: float = 0.0) -> None:
        """Takes in a look that has ended; to be called before a frame is planned.

        Args:
            wait_s: so long one that goes on is waited for.

        Raises:
            AmodalError: what the look raised.
        """
        if self._pending is not None and self._looks.ready(wait_s):
            pending, self._pending = self._pending, None
            prediction, spent_s = self._looks.collect()
            self._budget.looked(pending.plan, prediction.predicted_iou, spent_s)
            self._tracker.settle(pending.plan, prediction, pending.poses)

    def answer(
        self, plan: TrackPlan, look: Look, budget_s: float, begun_s: float
    ) -> tuple[tuple[TrackedObject, ...], AmodalPrediction | None]:
        """The objects of a frame, and what the model said of those it looked at in time.

        Args:
            plan: of the frame.
            look: runs the model for a part of the plan; called beside this thread.
            budget_s: of the frame.
            begun_s: when its answer was begun, by the clock.

        Raises:
            AmodalError: what the look raised.
        """
        left_s = _USED * budget_s - (self._clock() - begun_s)
        rows, others = self._budget.choose(plan, left_s, budget_s, self._pending is not None)
        self._budget.forget(plan)
        part, rest, prediction = part_of(plan, rows), plan, None
        if len(part):
            self._looks.start(lambda: look(part))
            if self._looks.ready(_USED * budget_s - (self._clock() - begun_s)):
                prediction, spent_s = self._looks.collect()
                self._budget.looked(part, prediction.predicted_iou, spent_s)
                rest = part_of(plan, others)
        if prediction is None:
            empty = part_of(plan, np.zeros(0, np.intp))
            objects = self._tracker.update(empty, AmodalPrediction.empty(plan.image_hw), rest)
            if len(part):
                self._pending = _Pending(part, self._tracker.poses(part))
        else:
            objects = self._tracker.update(part, prediction, rest)
        return tuple(self._aged(one, plan.stamp_s) for one in objects), prediction

    def close(self) -> None:
        """Waits for the look that is going on."""
        self._looks.close()

    def _aged(self, one: TrackedObject, stamp_s: float) -> TrackedObject:
        """With what is known of the last look."""
        age_s = self._budget.age_s(one.track_id, stamp_s)
        iou = self._budget.predicted_iou(one.track_id)
        return replace(one, age_s=age_s, predicted_iou=iou)
