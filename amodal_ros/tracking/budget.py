# SPDX-License-Identifier: Apache-2.0
"""Which objects of a frame the model looks at, so that the answer comes in time.

A model that takes long for an object cannot look at all of them in each frame. Those that need it
most are looked at, as many as the frame's budget holds by the running cost of one; the others are
carried: their masks are moved by the measured motion.

Where the model has a smaller size, and a frame has no time for all objects at full size, those
that are known well are looked at in smaller regions: so more of them are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from amodal_ros.tracking.look_costs import LookCosts
from amodal_ros.tracking.need import Needs
from amodal_ros.tracking.types import TrackPlan

_LEAST_S = 1e-3  # of waiting, so that need counts within one frame too
_KNOWN_WELL = 0.7  # the model's own estimate at the last look, from which on a small look will do
_ROUNDING_S = 1e-9


@dataclass(frozen=True)
class BudgetStatus:
    """What a budget comes to, for diagnostics.

    Attributes:
        budget_s: of a frame; 0: all objects are looked at in each.
        object_s: running cost of one object at full size; 0: not known yet.
        small_s: likewise in a smaller region; until it is known that at full size.
        looks: objects that were looked at in the last frame, or whose look began there.
        small_looks: those of them in smaller regions.
        objects: that the last frame had.
        bound_s: within so many seconds each object is looked at.
        oldest_s: how long the one that waits longest has not been looked at.
    """

    budget_s: float = 0.0
    object_s: float = 0.0
    small_s: float = 0.0
    looks: int = 0
    small_looks: int = 0
    objects: int = 0
    bound_s: float = 0.0
    oldest_s: float = 0.0


@dataclass(frozen=True, eq=False)
class Chosen:
    """Which objects of a frame to look at next.

    Attributes:
        rows: (K,) intp of the plan, ascending.
        small: (K,) bool, in a smaller region.
    """

    rows: np.ndarray
    small: np.ndarray

    def __len__(self) -> int:
        """Number of objects K."""
        return len(self.rows)


class FrameBudget:
    """Chooses the objects of each frame, and remembers when each was looked at.

    Half of the looks (of single ones every other) go to the objects that have waited longest, the
    others to those that need it most. So no object starves: see `looks_until_all`.
    """

    def __init__(self) -> None:
        self.status = BudgetStatus()
        self._looked_s: dict[int, float] = {}
        self._first_s: dict[int, float] = {}
        self._iou: dict[int, float] = {}
        self._needs = Needs()
        self._costs = LookCosts()
        self._fair_turn = False

    @property
    def object_s(self) -> float:
        """Running cost of one object at full size in seconds; 0: not known yet."""
        return self._costs.full_s

    def expected_s(self, part: TrackPlan) -> float:
        """Seconds that looking at all objects of a plan will take; 0: not known yet."""
        small = count_small(part)
        return self._costs.total_s(len(part) - small, small)

    def choose(
        self,
        plan: TrackPlan,
        left_s: float,
        frame_s: float,
        *,
        going: Collection[int] = (),
        waiting: Collection[int] = (),
        full: bool = False,
        small: bool = False,
    ) -> Chosen:
        """What to look at next; the others are carried.

        Args:
            plan: of the frame.
            left_s: seconds that the looks may take.
            frame_s: the frame's whole budget.
            going: tracks that are being looked at.
            waiting: tracks that were chosen before and whose look has not begun: these again.
            full: enough looks wait: none is chosen.
            small: the model can look at smaller regions.
        """
        count = len(plan)
        waited_s = self._waited(plan)
        needs = self._needs.of(plan)
        shrinks = self._shrinks(plan, needs, frame_s) if small else np.zeros(count, bool)
        costs_s = np.where(shrinks, self._costs.small_s, self._costs.full_s)
        limit = self._limit(left_s, float(costs_s.max(initial=0.0)), count)
        ids = plan.track_ids.tolist()
        chosen = [row for row in range(count) if ids[row] in waiting]
        free = [row for row in range(count) if ids[row] not in going]
        if free and not chosen and not full:
            oldest = sorted(free, key=lambda row: -waited_s[row])
            chosen = oldest[: self._fair_looks(limit)]
            rest = [row for row in free if row not in chosen]
            rest.sort(key=lambda row: -needs[row] * max(waited_s[row], _LEAST_S))
            chosen = _filled(chosen, rest, costs_s, left_s)
        if chosen and self._costs.full_is_due(plan.stamp_s):
            shrinks[chosen[0]] = False
        rows = np.sort(np.array(chosen, np.intp))
        if not shrinks[rows].all():
            self._costs.full_asked(plan.stamp_s)
        found = Chosen(rows, shrinks[rows])
        self._note(frame_s, limit, found, waited_s)
        return found

    def looked(
        self, plan: TrackPlan, iou: np.ndarray, spent_s: float, looks: int | None = None
    ) -> None:
        """Takes in that the model has looked at all objects of a plan.

        Args:
            plan: of these objects alone.
            iou: (N,) float32, its own estimates.
            spent_s: how long it took.
            looks: how many it took, some of them second ones; None: one each.
        """
        for track_id, value in zip(plan.track_ids.tolist(), iou.tolist(), strict=True):
            self._looked_s[track_id] = plan.stamp_s
            self._iou[track_id] = value
        if len(plan):
            small = count_small(plan)
            self._costs.measured(spent_s, (looks or len(plan)) - small, small)

    def forget(self, plan: TrackPlan) -> None:
        """Keeps nothing of objects that are not in a frame's plan any more."""
        alive = set(plan.track_ids.tolist())
        self._needs.forget(alive)
        for table in (self._looked_s, self._first_s, self._iou):
            for track_id in [key for key in table if key not in alive]:
                del table[track_id]

    def age_s(self, track_id: int, stamp_s: float) -> float:
        """Seconds from the image in which the model last looked at an object to `stamp_s`."""
        return max(stamp_s - self._looked_s.get(track_id, stamp_s), 0.0)

    def predicted_iou(self, track_id: int) -> float:
        """What the model estimated when it last looked; 0: it has not."""
        return self._iou.get(track_id, 0.0)

    def _shrinks(self, plan: TrackPlan, needs: Sequence[float], frame_s: float) -> np.ndarray:
        """Which objects are looked at in smaller regions, if they are chosen: (N,) bool.

        None where a frame has time for all at full size. Else those that are known well: not new,
        given, drifted or lost, and the model was sure when it last looked.
        """
        if len(plan) * self.object_s <= frame_s:
            return np.zeros(len(plan), bool)
        ids = plan.track_ids.tolist()
        return np.array(
            [
                math.isfinite(need)
                and not coasting
                and self._iou.get(track_id, 0.0) >= _KNOWN_WELL
                for need, coasting, track_id in zip(needs, plan.coasting, ids, strict=True)
            ],
            bool,
        )

    def _limit(self, left_s: float, dearest_s: float, count: int) -> int:
        """How many looks the budget surely holds: at least one; one until a cost is known."""
        if not dearest_s:
            return min(count, 1)
        return min(count, max(int((left_s + _ROUNDING_S) / dearest_s), 1))

    def _fair_looks(self, limit: int) -> int:
        """How many of the looks that begin now go to those that have waited longest."""
        if limit > 1:
            return (limit + 1) // 2
        self._fair_turn = not self._fair_turn
        return int(self._fair_turn)

    def _waited(self, plan: TrackPlan) -> list[float]:
        """Seconds since each object was looked at or, before that, since it is known."""
        waited = []
        for track_id in plan.track_ids.tolist():
            first_s = self._first_s.setdefault(track_id, plan.stamp_s)
            waited.append(plan.stamp_s - self._looked_s.get(track_id, first_s))
        return waited

    def _note(self, frame_s: float, limit: int, chosen: Chosen, waited_s: list[float]) -> None:
        """What this frame's choice comes to.

        A look that does not fit into a frame takes whole frames, and its image is then as old and
        may have waited for the look before.
        """
        frames = max(math.ceil(limit * self.object_s / frame_s), 1) if frame_s else 1
        turns = looks_until_all(len(waited_s), limit) + (frames > 1)
        self.status = BudgetStatus(
            budget_s=frame_s,
            object_s=self.object_s,
            small_s=self._costs.small_s,
            looks=len(chosen),
            small_looks=int(np.count_nonzero(chosen.small)),
            objects=len(waited_s),
            bound_s=(turns * frames + (frames > 1)) * frame_s,
            oldest_s=max(waited_s, default=0.0),
        )


def looks_until_all(count: int, limit: int) -> int:
    """After how many turns each of so many objects has been looked at, at the latest.

    Objects wait in the order of their last looks, new ones at the end; nobody overtakes. In each
    turn of several looks half of them go to the head of this queue, of single ones every other.

    Args:
        count: objects.
        limit: looks in a turn.
    """
    if count <= limit:
        return min(count, 1)
    return 2 * count if limit == 1 else -(-count // ((limit + 1) // 2))


def _filled(
    chosen: Sequence[int], rest: Sequence[int], costs_s: np.ndarray, left_s: float
) -> list[int]:
    """Rows chosen already, and of the rest those that time is left for; at least one in all.

    Args:
        chosen: rows.
        rest: rows, those that need it most first.
        costs_s: (N,) seconds of a look at each row; 0: not known yet.
        left_s: for all of them.
    """
    found, spent_s = list(chosen), float(costs_s[list(chosen)].sum())
    for row in rest:
        cost_s = float(costs_s[row])
        if not found or (cost_s and spent_s + cost_s <= left_s + _ROUNDING_S):
            found.append(row)
            spent_s += cost_s
    return found


def count_small(plan: TrackPlan) -> int:
    """How many objects of a plan are to be looked at in smaller regions."""
    return 0 if plan.small is None else int(np.count_nonzero(plan.small))


def part_of(plan: TrackPlan, rows: np.ndarray) -> TrackPlan:
    """Some rows of a plan, as a plan of the same frame."""
    count, changes = len(plan), dict[str, Any]()
    for entry in fields(plan):
        value = getattr(plan, entry.name)
        if isinstance(value, tuple) and len(value) == count and entry.name != "image_hw":
            changes[entry.name] = tuple(value[row] for row in rows)
        elif isinstance(value, np.ndarray) and entry.name != "camera":
            changes[entry.name] = value[rows]
    return replace(plan, **changes)
