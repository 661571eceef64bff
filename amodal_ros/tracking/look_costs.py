# SPDX-License-Identifier: Apache-2.0
"""What looks cost: the running means of those in full size and of those in smaller regions."""

from __future__ import annotations

import math

_SMOOTHING = 0.3  # share of the newest measurement
_DUE_S = 2.0  # so often the cost of full size is measured anew: other work comes and goes


class LookCosts:
    """Seconds of one look at an object, by its size, measured apart."""

    def __init__(self) -> None:
        self._full_s = 0.0
        self._small_s = 0.0
        self._full_asked_s = -math.inf

    @property
    def full_s(self) -> float:
        """Of a look in full size; 0: not known yet."""
        return self._full_s or self._small_s

    @property
    def small_s(self) -> float:
        """Of a look in a smaller region; until one was measured that of a full one."""
        return self._small_s or self._full_s

    def full_is_due(self, stamp_s: float) -> bool:
        """Whether no look in full size was asked for since long: its cost may be another now."""
        return abs(stamp_s - self._full_asked_s) > _DUE_S

    def full_asked(self, stamp_s: float) -> None:
        """A look in full size was asked for, at an image of that time."""
        self._full_asked_s = stamp_s

    def total_s(self, full: int, small: int) -> float:
        """What so many looks are expected to take; 0: not known yet."""
        return full * self.full_s + small * self.small_s

    def measured(self, spent_s: float, full: int, small: int) -> None:
        """Takes in what a call took.

        Of a call with both sizes each has the share that is expected of it.

        Args:
            spent_s: seconds.
            full: looks in full size.
            small: looks in smaller regions.
        """
        expected_s = self.total_s(full, small)
        # Not known yet: equal shares.
        full_s, small_s = (
            one_s * spent_s / expected_s if expected_s else spent_s / (full + small)
            for one_s in (self.full_s, self.small_s)
        )
        if full:
            self._full_s = _mean(self._full_s, full_s)
        if small:
            self._small_s = _mean(self._small_s, small_s)


def _mean(known_s: float, now_s: float) -> float:
    return known_s + _SMOOTHING * (now_s - known_s) if known_s else now_s
