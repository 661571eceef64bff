# SPDX-License-Identifier: Apache-2.0
"""What an object looks like, learnt from its last sights when somebody asks.

While detections say where an object is hardly anybody does, and to learn a sight takes longer than
all else that is remembered of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.appearance import Likeness
from amodal_ros.tracking.look_memory import Memory
from amodal_ros.tracking.surroundings import Surroundings

_MOST = 2  # sights that wait: where the last one cannot be learnt, the one before may be


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A sight that is not learnt yet.

    Attributes:
        around: the embeddings about the object.
        visible: what was visible of it.
        sights: for so many it stands.
    """

    around: Surroundings
    visible: CroppedMask
    sights: int


@dataclass(frozen=True, eq=False)
class PendingMemory:
    """A memory of an object, and sights that it learns when it is asked for.

    Attributes:
        before: without these sights.
        waiting: the sights, the earliest first.
    """

    before: Memory
    waiting: tuple[_Waiting, ...] = ()

    @classmethod
    def of(cls, known: Memory | PendingMemory) -> PendingMemory:
        """One that has been asked for is as good as a plain memory."""
        if isinstance(known, PendingMemory):
            return cls(known.now) if "now" in vars(known) else known
        return cls(known)

    def after(self, around: Surroundings, visible: CroppedMask, sights: int) -> PendingMemory:
        """With another sight; of more than wait the earliest is dropped, the next stands for it.

        Args:
            around: the embeddings about the object.
            visible: what is visible of it.
            sights: for so many it stands.
        """
        waiting = [*self.waiting, _Waiting(around, visible, sights)]
        while len(waiting) > _MOST:
            dropped, second = waiting[:2]
            waiting[:2] = [_Waiting(second.around, second.visible, dropped.sights + second.sights)]
        return PendingMemory(self.before, tuple(waiting))

    def learnt(self, around: Likeness, visible: CroppedMask, sights: int) -> PendingMemory:
        """After another sight that is learnt at once, in place of those that wait.

        Args:
            around: the embeddings about the object, compared with `before`.
            visible: what is visible of it.
            sights: for so many it stands, without those that wait.
        """
        memory = around.learnt(visible, sights + sum(one.sights for one in self.waiting))
        if memory is self.before:  # it was not good enough
            return self.after(around.surroundings, visible, sights)
        return PendingMemory(memory)

    @cached_property
    def now(self) -> Memory:
        """The memory after all sights, learnt when it is first asked for."""
        memory = self.before
        for one in self.waiting:
            memory = Likeness(one.around, memory).learnt(one.visible, one.sights)
        return memory

    def __getstate__(self) -> dict[str, Any]:
        """The memory alone: a tracker that is kept in a file keeps no embeddings."""
        return {"before": self.now, "waiting": ()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
