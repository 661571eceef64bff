# SPDX-License-Identifier: Apache-2.0
"""Transforms of a recording, as a node that was there would know them, and a little later.

A recording waits for nobody: what a live node has to wait for, and may miss, is read ahead here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from amodal_ros.depth.camera import RigidTransform
from amodal_ros.ros.bag.definitions import decoder_of
from amodal_ros.ros.bag.reader import Bag, DamagedBagError
from amodal_ros.ros.convert.stamps import NS_PER_S
from amodal_ros.ros.inputs.transform_buffer import TransformBuffer
from amodal_ros.ros.inputs.transforms import Lack, NoTransformError, look_up, put_transforms

TRANSFORMS = "tf2_msgs/msg/TFMessage"
_MOVING, _FIXED = "/tf", "/tf_static"
# A live node waits at most as long, see the parameter `transform_timeout`.
_AHEAD_NS = 5 * NS_PER_S


class _Read(NamedTuple):
    log_ns: int
    message: Any
    fixed: bool


class RecordedTransforms:
    """Those of ``/tf`` and ``/tf_static``, frame by frame.

    What `/tf_static` says first of a frame counts from the start: a recorder may get it late.

    Args:
        bag: open; nobody else reads of it meanwhile.

    Raises:
        InvalidInputError: the messages cannot be read: tf2_msgs is neither installed nor defined.
    """

    def __init__(self, bag: Bag) -> None:
        self._bag = bag
        topics = [t for t in bag.topics if t.name in (_MOVING, _FIXED) and t.type == TRANSFORMS]
        self._decoders = {topic.name: decoder_of(topic) for topic in topics}
        self._begin()

    @property
    def damage(self) -> str:
        """What is wrong with the recording, in words; empty: nothing was found."""
        if self._unreadable and not self._bag.damage:
            return f"{self._unreadable} messages of transforms cannot be read"
        return self._bag.damage

    def advance(self, log_ns: int) -> None:
        """Take in what was recorded before a time, and what came soon after it."""
        try:
            self._read_until(log_ns)
        except DamagedBagError:
            self._bag.salvage()
            self._begin()
            self._read_until(log_ns)

    def lookup(self, target: str, source: str, stamp_ns: int) -> tuple[RigidTransform, bool]:
        """From the frame `source` to the frame `target`.

        Returns:
            The transform, and whether it was recorded after the time of `advance`.

        Raises:
            NoTransformError: it is not known.
            InvalidInputError: what was published is no rotation.
        """
        if target.lstrip("/") == source.lstrip("/"):
            return RigidTransform.identity(), False
        if not self._decoders:
            raise NoTransformError(
                Lack.MISSING,
                f"no transform from {source!r} to {target!r}: {self._bag.path} has neither "
                f"{_MOVING} nor {_FIXED}",
            )
        try:
            return look_up(self._now, target, source, stamp_ns), False
        except NoTransformError:
            return look_up(self._soon, target, source, stamp_ns), True

    def _begin(self) -> None:
        self._now, self._soon = TransformBuffer(), TransformBuffer()
        self._waiting: deque[_Read] = deque()  # of `_soon`, not yet of `_now`
        self._unreadable = 0
        known: set[str] = set()
        for read in self._messages([_FIXED]):
            new = [one for one in read.message.transforms if one.child_frame_id not in known]
            known.update(one.child_frame_id for one in new)
            read.message.transforms = new
            for buffer in (self._now, self._soon):
                put_transforms(buffer, read.message, fixed=True)
        self._unreadable = 0  # they come once more
        self._stream = self._messages(list(self._decoders))
        self._next = next(self._stream, None)

    def _read_until(self, log_ns: int) -> None:
        while self._next is not None and self._next.log_ns <= log_ns + _AHEAD_NS:
            put_transforms(self._soon, self._next.message, self._next.fixed)
            self._waiting.append(self._next)
            self._next = next(self._stream, None)
        while self._waiting and self._waiting[0].log_ns <= log_ns:
            read = self._waiting.popleft()
            put_transforms(self._now, read.message, read.fixed)

    def _messages(self, topics: list[str]) -> Iterator[_Read]:
        wanted = [name for name in topics if name in self._decoders]
        for found in self._bag.messages(wanted) if wanted else ():
            try:
                message = self._decoders[found.topic](found.data)
            except Exception:  # whatever damaged bytes lead to
                self._unreadable += 1
                continue
            yield _Read(found.log_ns, message, found.topic == _FIXED)
