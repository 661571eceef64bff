# SPDX-License-Identifier: Apache-2.0
"""Message stamps as integers: exact, and comparable across messages."""

from __future__ import annotations

from builtin_interfaces.msg import Time

NS_PER_S = 1_000_000_000


def stamp_to_ns(stamp: Time) -> int:
    """Nanoseconds of a ``builtin_interfaces/Time``."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def ns_to_stamp(nanoseconds: int) -> Time:
    """``builtin_interfaces/Time`` of whole nanoseconds (0 or more)."""
    seconds, remainder = divmod(nanoseconds, NS_PER_S)
    return Time(sec=seconds, nanosec=remainder)
