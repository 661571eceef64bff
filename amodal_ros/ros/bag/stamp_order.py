# SPDX-License-Identifier: Apache-2.0
"""The messages of a recorded topic in the order of their stamps.

Messages that were recorded in the wrong order, by a second at most, are put in order. Where stamps
go back further, time starts anew, as in the node.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from amodal_ros.ros.bag.reader import Bag
from amodal_ros.ros.bag.storage import BagMessage
from amodal_ros.ros.convert.stamps import NS_PER_S

_DISORDER_NS = NS_PER_S


@dataclass(frozen=True)
class Entry:
    """A message as a first pass saw it.

    Attributes:
        place: among the messages of its topic.
        run: counts the times that stamps went back.
        stamp_ns: of its header; 0: it has none.
    """

    place: int
    run: int
    stamp_ns: int


@dataclass
class StampOrder:
    """A topic's messages by stamp within each stretch of time that runs forward.

    Attributes:
        entries: the messages, each stamp of a stretch once.
        repeated: messages that are left out, as their stamp came before.
        unstamped: messages without a stamp; where there are any, all stay as they were recorded.
        time_jumps: times that stamps went back.
    """

    entries: list[Entry] = field(default_factory=list)
    repeated: int = 0
    unstamped: int = 0
    time_jumps: int = 0

    @classmethod
    def of(cls, bag: Bag, topic: str) -> StampOrder:
        """Looks at the stamps of a topic; a damaged recording is salvaged.

        Raises:
            InvalidInputError: nothing can be read.
        """
        order = cls()
        order._put(
            bag.salvaged(lambda: [stamp_or_zero(one.data) for one in bag.messages([topic])])
        )
        return order

    def _put(self, stamps: Sequence[int]) -> None:
        seen: set[int] = set()
        newest = 0
        for place, stamp_ns in enumerate(stamps):
            if not stamp_ns:
                self.unstamped += 1
                self.entries.append(Entry(place, self.time_jumps, 0))
                continue
            if newest - stamp_ns > _DISORDER_NS:
                self.time_jumps, newest = self.time_jumps + 1, stamp_ns
                seen.clear()
            if stamp_ns in seen:
                self.repeated += 1
                continue
            seen.add(stamp_ns)
            newest = max(newest, stamp_ns)
            self.entries.append(Entry(place, self.time_jumps, stamp_ns))
        if not self.unstamped:
            self.entries.sort(key=lambda entry: (entry.run, entry.stamp_ns))


def read_in_order(
    bag: Bag, topic: str, entries: Sequence[Entry]
) -> Iterator[tuple[Entry, BagMessage]]:
    """The messages of entries of a topic, in the entries' order.

    Raises:
        DamagedBagError: the file changed since it was looked at.
    """
    waiting: dict[int, BagMessage] = {}
    known = {entry.place for entry in entries}
    todo = iter(entries)
    entry = next(todo, None)
    for place, message in enumerate(bag.messages([topic])):
        if place in known:
            waiting[place] = message
        while entry is not None and entry.place in waiting:
            yield entry, waiting.pop(entry.place)
            entry = next(todo, None)


def messages_by_stamp(bag: Bag, topic: str) -> Iterator[tuple[int, bytes]]:
    """Stamps and bytes of a topic's messages; one without a stamp has the time of its recording.

    Raises:
        InvalidInputError: nothing can be read.
    """
    for entry, message in read_in_order(bag, topic, StampOrder.of(bag, topic).entries):
        yield entry.stamp_ns or message.log_ns, message.data


def stamp_or_zero(data: bytes) -> int:
    """The stamp, in ns, of a message whose first field is a header, from its CDR bytes.

    Too few bytes have none; their decoder will say what is wrong.
    """
    # The second byte of the encapsulation says which end comes first (RTPS 2.2, 10.2.1.2).
    order = "<" if len(data) > 1 and data[1] & 1 else ">"
    try:
        seconds, nanoseconds = struct.unpack_from(f"{order}iI", data, 4)
    except struct.error:
        return 0
    return max(int(seconds * NS_PER_S + nanoseconds), 0)
