# SPDX-License-Identifier: Apache-2.0
"""Which detections are used, which tracks they support, and which tracks go on without one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal_ros.tracking.association import associate, hold_several, repeat_others
from amodal_ros.tracking.forecast import Forecast
from amodal_ros.tracking.settings import TrackerConfig
from amodal_ros.types import Detections

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Supported:
    """The detections that are used, and the tracks they belong to.

    Attributes:
        detections: K of them.
        kept: (K,) their indices in the frame's detections.
        forecasts: of the K tracks; None: a new one.
        dropped: how many were left out.
    """

    detections: Detections
    kept: np.ndarray
    forecasts: Sequence[Forecast | None]
    dropped: int


def best_detections(detections: Detections, limit: int) -> np.ndarray:
    """Indices, ascending, of the at most `limit` detections of highest score."""
    if len(detections) <= limit:
        return np.arange(len(detections))
    return np.sort(np.argsort(-detections.scores, kind="stable")[:limit])


def leave_room(
    scores: np.ndarray, matched: Sequence[Forecast | None], pinned: int, limit: int
) -> np.ndarray:
    """Rows (K,), ascending, of the detections that stay, so that all pinned objects fit in.

    Args:
        scores: (N,) of the detections.
        matched: the N detections' tracks.
        pinned: number of pinned tracks, matched or not.
        limit: most objects.
    """
    if len(matched) + pinned <= limit:
        return np.arange(len(matched))
    found = np.array([one is not None and one.track.pinned for one in matched], bool)
    others = np.flatnonzero(~found)
    best = others[np.argsort(-scores[others], kind="stable")][: max(limit - pinned, 0)]
    return np.sort(np.append(np.flatnonzero(found), best)).astype(int)


def has_ended(one: Forecast, stamp_s: float, answered_s: float, config: TrackerConfig) -> bool:
    """Whether a track without a detection ends; for a given object a warning says so.

    Args:
        one: of the track.
        stamp_s: time of the frame.
        answered_s: time of the last frame that was answered.
        config: of the tracker.
    """
    track = one.track
    unsure_s = 0.0 if track.given else answered_s - track.trusted_s
    is_unsure = 0 <= config.max_drift < unsure_s
    if not track.pinned:
        limit = config.max_coast
        is_old = limit == 0 or 0 < limit < stamp_s - track.last_seen_s
        return is_old or is_unsure or one.has_left
    if one.has_left:
        logger.warning("Given object %d ends: it left the image", track.track_id)
    elif is_unsure:
        logger.warning("Given object %d ends: not confirmed for %.1f s", track.track_id, unsure_s)
    else:
        return False
    return True


def supported(
    detections: Detections,
    forecasts: Sequence[Forecast],
    stamp_s: float,
    pinned: int,
    config: TrackerConfig,
) -> Supported:
    """The detections that are used, and their tracks.

    Args:
        detections: of the frame.
        forecasts: of all tracks.
        stamp_s: time of the frame.
        pinned: how many of these a user gave.
        config: of the tracker.
    """
    kept = best_detections(detections, config.max_objects)
    dropped = len(detections) - len(kept)
    chosen = _selected(detections, kept)
    candidates = [one.candidate(stamp_s) for one in forecasts]
    rows = np.flatnonzero(~hold_several(chosen, candidates))
    chosen, kept = _selected(chosen, rows), kept[rows]
    matches = associate(chosen, candidates, config.match_iou)
    rows = np.flatnonzero(~repeat_others(chosen, matches))
    chosen, kept, matches = _selected(chosen, rows), kept[rows], matches[rows]
    matched = [forecasts[index] if index >= 0 else None for index in matches]
    rows = leave_room(chosen.scores, matched, pinned, config.max_objects)
    dropped += len(chosen) - len(rows)
    return Supported(_selected(chosen, rows), kept[rows], [matched[row] for row in rows], dropped)


def _selected(detections: Detections, rows: np.ndarray) -> Detections:
    """Some detections, ascending rows (K,); all of them are not checked anew."""
    return detections if len(rows) == len(detections) else detections.select(rows)


def still_coasting(
    forecasts: Sequence[Forecast],
    matched: Sequence[Forecast | None],
    stamp_s: float,
    answered_s: float,
    config: TrackerConfig,
) -> tuple[list[Forecast], list[int]]:
    """The tracks that go on without a detection, by identity, and the ids of those that end.

    What is too old or gone ends, and what finds no room beside the detections.

    Args:
        forecasts: of all tracks.
        matched: those that are detected; None: a new one.
        stamp_s: time of the frame.
        answered_s: time of the last frame that was answered.
        config: of the tracker.
    """
    found = {one.track.track_id for one in matched if one is not None}
    missed = [one for one in forecasts if one.track.track_id not in found]
    alive = [one for one in missed if not has_ended(one, stamp_s, answered_s, config)]
    alive.sort(key=lambda one: (-one.track.pinned, -one.track.score))
    alive = alive[: max(config.max_objects - len(matched), 0)]
    staying = {one.track.track_id for one in alive}
    ended = [one.track.track_id for one in missed if one.track.track_id not in staying]
    return sorted(alive, key=lambda one: one.track.track_id), ended
