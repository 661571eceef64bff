# SPDX-License-Identifier: Apache-2.0
"""What earlier images showed of the objects that one camera follows.

The order of two things seldom changes from one image to the next, while the masks of a single
image may be wrong. So what earlier images showed of a pair is one more witness beside those of the
image itself (`pairs.py`). What is kept is the running mean of what each image showed by itself,
without this witness: an order that was wrong once does not uphold itself.

What was seen of an object in the last image is kept too, to give it back what a thing behind it
takes (`regained.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.occlusion.graph import OcclusionGraph, occlusion_graph
from amodal_ros.occlusion.pairs import Pair
from amodal_ros.occlusion.regained import Before

# For how long an image counts: after so many seconds by 1 / e.
_LASTS_S = 0.5
# Later than so many of these nothing is left of it.
_FORGOTTEN = 8.0


@dataclass(frozen=True, eq=False)
class _Last:
    """An object in the last image that had it: what was seen of it, where its whole mask lay."""

    seen: CroppedMask
    centre_xy: np.ndarray
    stamp_s: float


class OcclusionMemory:
    """Of one camera; objects are known by their track ids, negative ones are nobody's."""

    def __init__(self) -> None:
        # Of two track ids, the lower one first: by how much it lay in front (-1 to 1), and when.
        self._shown: dict[tuple[int, int], tuple[float, float]] = {}
        self._last: dict[int, _Last] = {}
        self._stamp_s = -math.inf

    def graph(
        self,
        track_ids: Sequence[int],
        visible: Sequence[CroppedMask],
        amodal: Sequence[CroppedMask],
        stamp_s: float,
        depth_m: np.ndarray | None = None,
        upright: bool = True,
    ) -> OcclusionGraph:
        """Who hides whom in the next image, which is then kept.

        Args:
            track_ids: of its N objects.
            visible: see `occlusion_graph`.
            amodal: see `occlusion_graph`.
            stamp_s: when it was taken, in seconds. Where that lies before the last one the clock
                has jumped, or a recording begins anew: all is forgotten.
            depth_m: see `occlusion_graph`.
            upright: see `occlusion_graph`.

        Raises:
            InvalidInputError: when numbers or sizes differ.
        """
        if stamp_s < self._stamp_s:
            self._shown.clear()
            self._last.clear()
        self._stamp_s = stamp_s
        centres = [_centre_xy(mask) for mask in amodal]
        lasts = [self._last.get(track_id) for track_id in track_ids]

        def seen_before(index: int) -> CroppedMask | None:
            """Masks go with the centre of the whole object."""
            last = lasts[index]
            if last is None or last.seen.image_hw != amodal[index].image_hw:
                return None
            x, y = np.round(centres[index] - last.centre_xy).astype(int).tolist()
            return last.seen.shifted((x, y))

        before = Before(self._order(track_ids), seen_before)
        graph = occlusion_graph(visible, amodal, depth_m, upright, before)
        self._learn(track_ids, graph.pairs)
        for track_id, seen, centre_xy in zip(track_ids, graph.visible, centres, strict=True):
            if track_id >= 0:
                self._last[track_id] = _Last(seen, centre_xy, stamp_s)
        oldest_s = stamp_s - _FORGOTTEN * _LASTS_S
        self._shown = {key: kept for key, kept in self._shown.items() if kept[1] > oldest_s}
        self._last = {key: kept for key, kept in self._last.items() if kept.stamp_s > oldest_s}
        return graph

    def _order(self, track_ids: Sequence[int]) -> np.ndarray:
        """(N, N) float64; see `Before.order`."""
        lately = np.zeros((len(track_ids), len(track_ids)))
        place = {track_id: index for index, track_id in enumerate(track_ids)}
        for (one, other), (shown, seen_s) in self._shown.items():
            if one in place and other in place:
                left = shown * self._kept(seen_s)
                lately[place[one], place[other]] = left
                lately[place[other], place[one]] = -left
        return lately

    def _learn(self, track_ids: Sequence[int], pairs: Sequence[Pair]) -> None:
        for pair in pairs:
            front, back = track_ids[pair.front], track_ids[pair.back]
            if min(front, back) < 0:
                continue
            shown = min(max(pair.evidence, -1.0), 1.0)
            key, shown = ((front, back), shown) if front < back else ((back, front), -shown)
            if key in self._shown:
                before, seen_s = self._shown[key]
                shown += self._kept(seen_s) * (before - shown)
            self._shown[key] = (shown, self._stamp_s)

    def _kept(self, seen_s: float) -> float:
        """How much of what was seen then still counts."""
        return math.exp((seen_s - self._stamp_s) / _LASTS_S)


def _centre_xy(mask: CroppedMask) -> np.ndarray:
    """(2,) of its pixels, in whole pixels' coordinates; zeros of an empty mask."""
    if mask.is_empty:
        return np.zeros(2)
    rows, columns = mask.crop.sum(axis=1), mask.crop.sum(axis=0)
    x0, y0 = mask.box_xyxy[:2]
    x = float(columns @ np.arange(len(columns))) / mask.area
    y = float(rows @ np.arange(len(rows))) / mask.area
    return np.array([x0 + x, y0 + y])
