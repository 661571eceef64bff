# SPDX-License-Identifier: Apache-2.0
"""Answers each frame of a camera in time, however long the model takes for an object.

The model looks at some objects of a frame beside the thread that answers. What it said within the
frame's budget is in that frame's answer. What comes later is moved to the frame in which it comes.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from amodal_ros.tracking.budget import BudgetStatus, Chosen, FrameBudget, part_of
from amodal_ros.tracking.tracker import AmodalTracker
from amodal_ros.tracking.types import TrackedObject, TrackPlan
from amodal_ros.types import AmodalPrediction

# Share of the budget that looks, making the answer and publishing it may take: it is received
# somewhat later.
_USED = 0.9
# What making and publishing takes is followed quickly where it grows, else slowly: an answer that
# comes after the next image is worth less than one with a look less in it.
_SLOWER, _FASTER = 0.5, 0.1

_BEHIND = 5  # by how much the priority ("nice") of looks is lower than that of answers
_MOST_LOOKS = 2  # one that goes on, and one that waits

Look = Callable[[TrackPlan], AmodalPrediction]


@dataclass(frozen=True, eq=False)
class Looked:
    """What came of a look.

    Attributes:
        plan: of the objects that were looked at, where they were found.
        prediction: for it.
        looks: how many objects the model looked at, those asked for twice counted twice.
    """

    plan: TrackPlan
    prediction: AmodalPrediction
    looks: int


class Looks(Protocol):
    """Runs looks beside the caller, one after another in their order."""

    def start(self, look: Callable[[], Looked]) -> None:
        """Begins a look, or lets it begin when the one before ends."""

    def withdraw(self) -> bool:
        """Takes the newest look back if it has not begun; whether it had not."""

    def ready(self, timeout_s: float) -> bool:
        """Whether the oldest look has ended; waits for that up to so many seconds."""

    def collect(self) -> tuple[Looked, float]:
        """What the oldest look gave, and how many seconds it took; raises what it raised."""

    def close(self) -> None:
        """Waits for the look that is going on."""


class ThreadLooks:
    """`Looks` in a thread of its own, which begins with the first look."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._futures: deque[Future[tuple[Looked, float]]] = deque()

    def start(self, look: Callable[[], Looked]) -> None:
        """See `Looks`."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                1, thread_name_prefix="amodal_look", initializer=_give_way
            )

        def timed() -> tuple[Looked, float]:
            begun = time.perf_counter()
            return look(), time.perf_counter() - begun

        self._futures.append(self._pool.submit(timed))

    def withdraw(self) -> bool:
        """See `Looks`."""
        if not self._futures or not self._futures[-1].cancel():
            return False
        self._futures.pop()
        return True

    def ready(self, timeout_s: float) -> bool:
        """See `Looks`."""
        if not self._futures:
            return False
        return bool(wait([self._futures[0]], max(timeout_s, 0.0)).done)

    def collect(self) -> tuple[Looked, float]:
        """See `Looks`."""
        if not self._futures:
            raise RuntimeError("no look was begun")
        return self._futures.popleft().result()

    def close(self) -> None:
        """See `Looks`."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _give_way() -> None:
    """Lets the thread that answers go first where both want the same core.

    A look lasts as long as it likes, an answer that comes after the next image is worth little.
    Linux has a priority for each thread; elsewhere nothing is changed.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _BEHIND)


@dataclass(frozen=True, eq=False)
class _Pending:
    """A look that goes on after its frame, or has not begun yet.

    Attributes:
        plan: of the objects that are looked at.
        poses: (2, 3) of each track when that frame had been planned.
    """

    plan: TrackPlan
    poses: dict[int, np.ndarray]


class BudgetedFrames:
    """Frames of one camera; all methods are called by the thread that answers them.

    While a look outlasts its frame, the next one waits behind it, with the newest image: the model
    does not rest until a frame begins.

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
        self._pending: deque[_Pending] = deque()
        self._made_s = 0.0
        self._after_s = 0.0

    @property
    def status(self) -> BudgetStatus:
        """Of the last frame."""
        return self._budget.status

    def begin(self, wait_s: float = 0.0) -> None:
        """Takes in the looks that have ended; to be called before a frame is planned.

        Args:
            wait_s: so long one that goes on is waited for.

        Raises:
            AmodalError: what a look raised.
        """
        while self._pending and self._looks.ready(wait_s):
            pending = self._pending.popleft()
            looked = self._collected()
            self._tracker.settle(looked.plan, looked.prediction, pending.poses)

    def answer(
        self, plan: TrackPlan, look: Look, budget_s: float, begun_s: float, small: bool = False
    ) -> tuple[tuple[TrackedObject, ...], AmodalPrediction | None]:
        """The objects of a frame, and what the model said of those it looked at in time.

        Args:
            plan: of the frame.
            look: runs the model for a part of the plan; called beside this thread.
            budget_s: of the frame.
            begun_s: since when that runs, by the clock: when the image was taken.
            small: `look` can look at objects in smaller regions.

        Raises:
            AmodalError: what the look raised.
        """
        left_s = self._left_s(budget_s, begun_s)
        chosen = self._chosen(plan, left_s, budget_s, small)
        self._budget.forget(plan)
        part, looked = part_of(plan, chosen.rows), None
        if chosen.small.any():
            part = replace(part, small=chosen.small)
        if len(part):
            time_s = _USED * budget_s if self._pending else left_s
            self._looks.start(lambda: self._look(part, look, time_s))
            in_time = not self._pending and self._budget.expected_s(part) <= left_s
            spare_s = self._left_s(budget_s, begun_s) if in_time else 0.0
            if not self._pending and self._looks.ready(spare_s):
                looked = self._collected()
        self._made_s = self._clock()
        if looked is None:
            empty = part_of(plan, np.zeros(0, np.intp))
            objects = self._tracker.update(empty, AmodalPrediction.empty(plan.image_hw), plan)
            if len(part):
                self._pending.append(_Pending(part, self._tracker.poses(part)))
        else:
            rest = part_of(plan, np.delete(np.arange(len(plan)), chosen.rows))
            objects = self._tracker.update(looked.plan, looked.prediction, rest)
        found = None if looked is None else looked.prediction
        return tuple(self._aged(one, plan.stamp_s) for one in objects), found

    def published(self) -> None:
        """The answer of the last frame is published: so long before the next image looks end."""
        spent_s = self._clock() - self._made_s
        share = _SLOWER if spent_s > self._after_s else _FASTER
        self._after_s += (share if self._after_s else 1.0) * (spent_s - self._after_s)

    def close(self) -> None:
        """Waits for the look that is going on."""
        self._looks.close()

    def _left_s(self, budget_s: float, begun_s: float) -> float:
        """Seconds that looks may still take for their masks to be in the frame's answer."""
        return begun_s + _USED * budget_s - self._after_s - self._clock()

    def _chosen(self, plan: TrackPlan, left_s: float, budget_s: float, small: bool) -> Chosen:
        """What of a plan to look at next; nothing where enough looks wait.

        Objects that were chosen in an earlier frame, and whose look has not begun, are looked at
        in this one.
        """
        waiting: Collection[int] = ()
        if len(self._pending) == _MOST_LOOKS:
            if not self._looks.withdraw():
                return self._budget.choose(plan, left_s, budget_s, full=True, small=small)
            waiting = self._pending.pop().plan.track_ids.tolist()
        going = [key for one in self._pending for key in one.plan.track_ids.tolist()]
        time_s = _USED * budget_s if self._pending else left_s
        return self._budget.choose(
            *(plan, time_s, budget_s), going=going, waiting=waiting, small=small
        )

    def _collected(self) -> Looked:
        looked, spent_s = self._looks.collect()
        iou = looked.prediction.predicted_iou
        self._budget.looked(looked.plan, iou, spent_s, looked.looks)
        return looked

    def _look(self, part: TrackPlan, look: Look, left_s: float) -> Looked:
        """Runs the model; for objects that it does not find a second time, where that fits in.

        Where not even the first look fits into a frame, the second one takes the next one's place.
        """
        begun_s = self._clock()
        prediction = look(part)
        again = self._tracker.look_again(part, prediction)
        spent_s = self._clock() - begun_s
        if again is None:
            return Looked(part, prediction, len(part))
        # A second look is one in full size, which the first may not have been.
        second_s = max(spent_s / len(part), self._budget.object_s) * len(again.rows)
        if spent_s <= left_s < spent_s + second_s:
            return Looked(part, prediction, len(part))
        second = look(replace(part_of(again.plan, again.rows), small=None))
        return Looked(again.plan, again.joined(prediction, second), len(part) + len(again.rows))

    def _aged(self, one: TrackedObject, stamp_s: float) -> TrackedObject:
        """With what is known of the last look."""
        age_s = self._budget.age_s(one.track_id, stamp_s)
        iou = self._budget.predicted_iou(one.track_id)
        return replace(one, age_s=age_s, predicted_iou=iou)
