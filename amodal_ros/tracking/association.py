# SPDX-License-Identifier: Apache-2.0
"""Which detection belongs to which track: by identity where there is one, else by overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from amodal_ros.image.boxes import box_iou
from amodal_ros.image.cropped import BoxXyxy, CroppedMask
from amodal_ros.types import Detections

# Least share of a part's box inside the box of the whole object, and filled by the object.
_BOX_INSIDE = 0.7
_FILLED = 0.25
# A box about several objects: least share of each inside, most IoU of two of them, least IoU of
# the box with the one about them, and by how much that is more than with any single one of them.
_HELD, _APART, _ABOUT, _BETTER = 0.75, 0.3, 0.6, 0.1
_HALF = 0.5
_REPEATED = 0.4  # least IoU of two boxes of one object


@dataclass(frozen=True, eq=False)
class TrackCandidate:
    """What is compared of a track.

    Attributes:
        track_id: ours.
        detection_id: the detector's identity for it; empty: none.
        boxes_xyxy: (3, 4) original pixels, where it may be found: last detection, visible part,
            whole shape; zeros where unknown.
        whole: where the whole object should be; None: not known.
        reach_px: how far off `whole` may be: the longer an object is not seen, the further.
    """

    track_id: int
    detection_id: str
    boxes_xyxy: np.ndarray
    whole: CroppedMask | None = None
    reach_px: float = 0.0


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
    so that the sum of IoU is greatest, and what is still left, so that the boxes lie most in where
    the whole objects should be: a part that comes out from behind an occluder is much smaller
    than its object. At last so that they lie most in where the whole objects may be: nobody saw
    where a hidden one went. Identities that contradict each other never match.

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
    for score in (_overlap, _containment, _nearness):
        free = (matches < 0) & (detections.track_ids < 0)
        if score is _nearness:  # the second box of one object is not another one
            free &= ~repeat_others(detections, matches)
        rows = np.flatnonzero(free).tolist()
        columns = [column for column in range(len(candidates)) if column not in taken]
        if rows and columns:
            boxes = detections.boxes_xyxy[rows]
            scores = np.stack([score(boxes, candidates[c], min_iou) for c in columns], axis=1)
            scores[_contradict(identities, candidates, rows, columns)] = 0.0
            for row, column in zip(*linear_sum_assignment(scores, maximize=True), strict=True):
                if scores[row, column] > 0:
                    matches[rows[row]] = columns[column]
                    taken.add(columns[column])
    return matches


def hold_several(detections: Detections, candidates: Sequence[TrackCandidate]) -> np.ndarray:
    """(N,) bool: which boxes, without an identity, are drawn about several known objects at once.

    Such a box says nothing that is not known, and no mask should be made of it. The box of a tray
    holds what lies on it, too, but it fits the tray alone as well.
    """
    found = np.zeros(len(detections), bool)
    bare = np.array([not one for one in detections.detection_ids], bool)
    bare &= detections.track_ids < 0
    if not bare.any():
        return found
    known = np.array([one.boxes_xyxy[:2] for one in candidates], np.float32).reshape(-1, 4)
    visible = known[1::2]
    visible = visible[(visible[:, 2:] > visible[:, :2]).all(axis=1)]
    held = _shares_inside(visible, detections.boxes_xyxy) >= _HELD
    for row in np.flatnonzero(bare & (np.count_nonzero(held, axis=0) >= 2)).tolist():
        inside, box = visible[held[:, row]], detections.boxes_xyxy[row]
        about = np.append(inside[:, :2].min(axis=0), inside[:, 2:].max(axis=0))
        apart = box_iou(inside, inside)[np.triu_indices(len(inside), 1)].max() <= _APART
        together = float(box_iou([about], [box])[0, 0])
        single = float(box_iou(known, [box]).max())  # as it was found last, or is seen
        found[row] = apart and together >= max(_ABOUT, single + _BETTER)
    return found


def repeat_others(detections: Detections, matches: np.ndarray) -> np.ndarray:
    """(N,) bool: which boxes, neither matched nor with an identity, show what another one does.

    Args:
        detections: N of them.
        matches: (N,) the track of each; -1: none.
    """
    found = np.zeros(len(detections), bool)
    bare = np.array([not one for one in detections.detection_ids], bool)
    bare &= (matches < 0) & (detections.track_ids < 0)
    if not bare.any():
        return found
    overlap = box_iou(detections.boxes_xyxy, detections.boxes_xyxy)
    for row in np.argsort(detections.scores, kind="stable").tolist():
        if not bare[row]:
            continue
        better = (matches >= 0) | (detections.scores > detections.scores[row])
        found[row] = bool((overlap[row][better & ~found] >= _REPEATED).any())
    return found


def _shares_inside(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(K, N) share of the area of boxes (K, 4) that lies in each of others (N, 4)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    sides = (np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - low).clip(0)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.asarray(sides[..., 0] * sides[..., 1] / areas[:, None])


def _overlap(boxes: np.ndarray, candidate: TrackCandidate, min_iou: float) -> np.ndarray:
    """(R,) greatest IoU of each box (R, 4) with one of the track's; 0 below `min_iou`."""
    iou = box_iou(boxes, candidate.boxes_xyxy).max(axis=1, initial=0.0)
    return np.where(iou >= min_iou, iou, 0.0)


def _containment(boxes: np.ndarray, candidate: TrackCandidate, min_iou: float) -> np.ndarray:
    """(R,) share of each box (R, 4) that the whole object should fill, more for small objects.

    0 where it is little.

    `min_iou` has no part in it.
    """
    shares = np.zeros(len(boxes))
    if candidate.whole is None:
        return shares
    for row, box in enumerate(boxes):
        left, top, right, bottom = _pixels(box)
        if _is_near((left, top, right, bottom), candidate.whole, candidate.reach_px):
            filled = candidate.whole.filled_share((left, top, right, bottom))
            # Of two objects behind which it may be, the part is that of the smaller one.
            size = (right - left) * (bottom - top) / candidate.whole.area
            shares[row] = filled * math.sqrt(size) if filled >= _FILLED else 0.0
    return shares


def _nearness(boxes: np.ndarray, candidate: TrackCandidate, min_iou: float) -> np.ndarray:
    """(R,) share of each box (R, 4) that the whole object may fill, less the further off it is.

    The object is moved to where it fills most of the box, no further than it may be off, nor by
    more than half its own box. 0 where it is little.

    `min_iou` has no part in it.
    """
    shares = np.zeros(len(boxes))
    whole, reach_px = candidate.whole, candidate.reach_px
    if whole is None or reach_px < 1:
        return shares
    across, down = _reach(whole, reach_px)
    y, x = np.mgrid[-down : down + 1, -across : across + 1]
    worth = 1 - np.hypot(x, y) / (2 * reach_px)
    worth[worth < _HALF] = 0.0
    for row, box in enumerate(boxes):
        left, top, right, bottom = _pixels(box)
        if _is_near((left, top, right, bottom), whole, reach_px):
            part = whole.cut((left - across, top - down, right + across, bottom + down))
            filled = cv2.blur(
                *(part.astype(np.float32), (right - left, bottom - top)),
                anchor=(0, 0),
                borderType=cv2.BORDER_CONSTANT,
            )[: 2 * down + 1, : 2 * across + 1]
            shares[row] = (filled * worth)[filled >= _FILLED].max(initial=0.0)
    return shares


def _is_near(box: BoxXyxy, whole: CroppedMask, reach_px: float) -> bool:
    """Whether most of a box lies in that of the whole object, grown by as far as it may be off."""
    (left, top, right, bottom), (x0, y0, x1, y1) = box, whole.box_xyxy
    across, down = _reach(whole, reach_px)
    wide = max(min(right, x1 + across) - max(left, x0 - across), 0)
    high = max(min(bottom, y1 + down) - max(top, y0 - down), 0)
    return wide * high >= _BOX_INSIDE * (right - left) * (bottom - top)


def _reach(whole: CroppedMask, reach_px: float) -> tuple[int, int]:
    """How far off an object may be, in whole pixels across and down: at most half its box."""
    x0, y0, x1, y1 = whole.box_xyxy
    return int(min((x1 - x0) / 2, reach_px)), int(min((y1 - y0) / 2, reach_px))


def _pixels(box: np.ndarray) -> BoxXyxy:
    """The whole pixels that a box (4,) touches."""
    x0, y0, x1, y1 = box.tolist()
    return (
        *(math.floor(max(x0, 0.0)), math.floor(max(y0, 0.0))),
        *(math.ceil(x1), math.ceil(y1)),
    )


def _contradict(
    identities: Sequence[str],
    candidates: Sequence[TrackCandidate],
    rows: Sequence[int],
    columns: Sequence[int],
) -> np.ndarray:
    """(R, C) bool: both have identities, and others."""
    ours = np.array([identities[row] for row in rows], object)[:, None]
    theirs = np.array([candidates[column].detection_id for column in columns], object)[None]
    return (ours != "") & (theirs != "") & (ours != theirs)
