# SPDX-License-Identifier: Apache-2.0
"""Which detection belongs to which track: by identity where there is one, else by overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from amodal_ros.boxes import box_iou
from amodal_ros.types import Detections


@dataclass(frozen=True, eq=False)
class TrackCandidate:
    """What is compared of a track.

    Attributes:
        track_id: ours.
        detection_id: the detector's identity for it; empty: none.
        boxes_xyxy: (K, 4) original pixels, where it may be found: visible part, whole shape.
    """

    track_id: int
    detection_id: str
    boxes_xyxy: np.ndarray


def own_ids(detections: Detections) -> tuple[str, ...]:
    """Each detection's identity, empty where a detection of higher score bears the same."""
    claimed: set[str] = set()
    identities = [""] * len(detections)
    for index in np.argsort(-detections.scores, kind="stable"):
        identity = detections.detection_ids[index]
        if identity not in claimed:
            identities[index] = identity
            claimed.add(identity)
    return tuple(identities)


def associate(
    detections: Detections, candidates: Sequence[TrackCandidate], min_iou: float
) -> np.ndarray:
    """Assigns each detection to at most one track, and each track to at most one detection.

    A detection's `track_ids` entry decides first, then its own identity. What is left is assigned
    so that the sum of IoU is greatest; identities that contradict each other never match.

    Args:
        detections: N of them.
        candidates: M tracks.
        min_iou: a pair needs at least this overlap.

    Returns:
        (N,) int64: index of the track; -1: none.
    """
    identities = own_ids(detections)
    matches = np.full(len(detections), -1, dtype=np.int64)
    by_track = {candidate.track_id: index for index, candidate in enumerate(candidates)}
    by_identity = {
        candidate.detection_id: index
        for index, candidate in enumerate(candidates)
        if candidate.detection_id
    }
    taken: set[int] = set()
    for keys, index_of in ((detections.track_ids.tolist(), by_track), (identities, by_identity)):
        for row, key in enumerate(keys):
            column = index_of.get(key, -1)
            if matches[row] < 0 <= column and column not in taken:
                matches[row] = column
                taken.add(column)
    rows = [
        row for row in range(len(matches)) if matches[row] < 0 and detections.track_ids[row] < 0
    ]
    columns = [column for column in range(len(candidates)) if column not in taken]
    for row, column in _assign_by_overlap(
        detections, identities, candidates, rows, columns, min_iou
    ):
        matches[row] = column
    return matches


def _assign_by_overlap(
    detections: Detections,
    identities: Sequence[str],
    candidates: Sequence[TrackCandidate],
    rows: Sequence[int],
    columns: Sequence[int],
    min_iou: float,
) -> list[tuple[int, int]]:
    """Pairs (detection, track) of the given rows and columns with the greatest sum of IoU."""
    if not rows or not columns:
        return []
    overlap = np.zeros((len(rows), len(columns)), dtype=np.float32)
    for at_column, column in enumerate(columns):
        candidate = candidates[column]
        iou = box_iou(detections.boxes_xyxy[list(rows)], candidate.boxes_xyxy)
        overlap[:, at_column] = iou.max(axis=1, initial=0.0)
        for at_row, row in enumerate(rows):
            if identities[row] and candidate.detection_id not in ("", identities[row]):
                overlap[at_row, at_column] = 0.0
    overlap[overlap < min_iou] = 0.0
    pairs = zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
    return [(rows[row], columns[column]) for row, column in pairs if overlap[row, column] > 0]
