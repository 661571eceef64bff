# SPDX-License-Identifier: Apache-2.0
"""Who lay in front a moment ago, of the objects that one camera follows.

The order of two things seldom changes from one image to the next, while the masks of a single
image may be wrong. So what earlier images showed of a pair is one more witness beside those of the
image itself (`pairs.py`). What is kept is the running mean of what each image showed by itself,
without this witness: an order that was wrong once does not uphold itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from amodal_ros.occlusion.pairs import Pair

# For how long an image counts: after so many seconds by 1 / e.
_LASTS_S = 0.5
# Later than so many of these nothing is left of it.
_FORGOTTEN = 8.0


class OrderMemory:
    """Of one camera; objects are known by their track ids, negative ones are nobody's."""

    def __init__(self) -> None:
        # Of two track ids, the lower one first: by how much it lay in front (-1 to 1), and when.
        self._shown: dict[tuple[int, int], tuple[float, float]] = {}
        self._stamp_s = -math.inf

    def witness(self, track_ids: Sequence[int], stamp_s: float) -> np.ndarray:
        """What earlier images say of the objects of an image.

        Args:
            track_ids: of its N objects.
            stamp_s: when it was taken, in seconds. Where that lies before the last one the clock
                has jumped, or a recording begins anew: all is forgotten.

        Returns:
            (N, N) float64 from -1 to 1; above 0: the object of the row lay in front of that of
            the column. 0: nothing is known.
        """
        if stamp_s < self._stamp_s:
            self._shown.clear()
        self._stamp_s = stamp_s
        lately = np.zeros((len(track_ids), len(track_ids)))
        place = {track_id: index for index, track_id in enumerate(track_ids)}
        for (one, other), (shown, seen_s) in self._shown.items():
            if one in place and other in place:
                left = shown * math.exp((seen_s - stamp_s) / _LASTS_S)
                lately[place[one], place[other]] = left
                lately[place[other], place[one]] = -left
        return lately

    def learn(self, track_ids: Sequence[int], pairs: Sequence[Pair]) -> None:
        """Keep what the image of the last `witness` showed.

        Args:
            track_ids: of its N objects.
            pairs: of them.
        """
        stamp_s = self._stamp_s
        for pair in pairs:
            front, back = track_ids[pair.front], track_ids[pair.back]
            if min(front, back) < 0:
                continue
            shown = min(max(pair.evidence, -1.0), 1.0)
            key, shown = ((front, back), shown) if front < back else ((back, front), -shown)
            if key in self._shown:
                before, seen_s = self._shown[key]
                kept = math.exp((seen_s - stamp_s) / _LASTS_S)
                shown += kept * (before - shown)
            self._shown[key] = (shown, stamp_s)
        oldest_s = stamp_s - _FORGOTTEN * _LASTS_S
        self._shown = {key: kept for key, kept in self._shown.items() if kept[1] > oldest_s}
