# SPDX-License-Identifier: Apache-2.0
"""``vision_msgs/Detection2DArray`` to ``Detections``, whatever the detector sent.

A bad box costs itself alone: it is left out and counted by reason, the others are used.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from vision_msgs.msg import Detection2D, Detection2DArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.types import Detections

# A box drawn by hand or sent by a tracker has no hypothesis; nobody doubts it.
SCORE_WITHOUT_HYPOTHESIS = 1.0
_SCORE_TOLERANCE = 1e-3
_SMALLEST_VISIBLE_SIDE_PX = 1.0
_SMALLEST_SIZE_PX = 0.01  # smaller ones would vanish in float32

REJECTION_REASONS: tuple[str, ...] = (
    "not_finite",
    "no_size",
    "outside",
    "bad_score",
    "duplicate_id",
    "low_score",
    "surplus",
)


@dataclass(frozen=True)
class SanitisedDetections:
    """The usable boxes of one message, and how many were left out, by reason.

    Reasons: ``not_finite`` (NaN or infinite geometry), ``no_size`` (size negative or next to
    nothing), ``outside`` (less than a pixel, or than half of a smaller box, lies in the image),
    ``bad_score`` (not in [0, 1]), ``duplicate_id`` (an id twice in one message; the better score
    stays), ``low_score`` (below ``min_score``), ``surplus`` (beyond ``max_objects`` by score).
    """

    detections: Detections
    rejected: Mapping[str, int]


@dataclass(frozen=True)
class _Candidate:
    box_xyxy: tuple[float, float, float, float]
    score: float
    class_id: str
    detection_id: str


class _RejectedError(Exception):
    """A box cannot be used; the argument is the reason."""


def detections_from_message(
    message: Detection2DArray,
    image_hw: tuple[int, int],
    min_score: float = 0.0,
    max_objects: int | None = None,
) -> SanitisedDetections:
    """Read and sanitise the boxes of one image.

    The best hypothesis of a detection gives class and score; a detection without hypotheses has
    score 1 and no class. A rotated box is replaced by the upright box around it. Boxes are
    clipped to the image. The order of the message is kept.

    Args:
        message: boxes in pixels of the image.
        image_hw: height and width of the image in pixels.
        min_score: detections below it are left out.
        max_objects: at most so many are kept, by score; None: all.

    Raises:
        InvalidInputError: if ``image_hw`` is not positive.
    """
    if min(image_hw) <= 0:
        raise InvalidInputError(f"image_hw {image_hw} must be positive")
    rejected: Counter[str] = Counter()
    candidates: list[_Candidate] = []
    for detection in message.detections:
        try:
            candidates.append(_candidate(detection, image_hw))
        except _RejectedError as reason:
            rejected[str(reason)] += 1
    confident = [candidate for candidate in candidates if candidate.score >= min_score]
    rejected["low_score"] += len(candidates) - len(confident)
    distinct = _without_duplicate_ids(confident)
    rejected["duplicate_id"] += len(confident) - len(distinct)
    kept = _best(distinct, max_objects)
    rejected["surplus"] += len(distinct) - len(kept)
    return SanitisedDetections(_to_detections(kept), {k: n for k, n in rejected.items() if n})


def _candidate(detection: Detection2D, image_hw: tuple[int, int]) -> _Candidate:
    class_id, score = _best_hypothesis(detection)
    return _Candidate(_clipped_box(detection, image_hw), score, class_id, detection.id)


def _clipped_box(
    detection: Detection2D, image_hw: tuple[int, int]
) -> tuple[float, float, float, float]:
    center, width, height = detection.bbox.center, detection.bbox.size_x, detection.bbox.size_y
    x, y, theta = center.position.x, center.position.y, center.theta
    if not all(map(math.isfinite, (x, y, theta, width, height))):
        raise _RejectedError("not_finite")
    if min(width, height) < _SMALLEST_SIZE_PX:
        raise _RejectedError("no_size")
    cosine, sine = abs(math.cos(theta)), abs(math.sin(theta))
    half_width = width / 2 * cosine + height / 2 * sine
    half_height = width / 2 * sine + height / 2 * cosine
    x0, x1 = max(x - half_width, 0.0), min(x + half_width, float(image_hw[1]))
    y0, y1 = max(y - half_height, 0.0), min(y + half_height, float(image_hw[0]))
    width_inside = x1 - x0 >= min(_SMALLEST_VISIBLE_SIDE_PX, half_width)
    height_inside = y1 - y0 >= min(_SMALLEST_VISIBLE_SIDE_PX, half_height)
    if not (width_inside and height_inside):
        raise _RejectedError("outside")
    return x0, y0, x1, y1


def _best_hypothesis(detection: Detection2D) -> tuple[str, float]:
    if not detection.results:
        return "", SCORE_WITHOUT_HYPOTHESIS
    hypotheses = [result.hypothesis for result in detection.results]
    finite = [hypothesis for hypothesis in hypotheses if math.isfinite(hypothesis.score)]
    if not finite:
        raise _RejectedError("bad_score")
    best = max(finite, key=lambda hypothesis: hypothesis.score)
    if not -_SCORE_TOLERANCE <= best.score <= 1.0 + _SCORE_TOLERANCE:
        raise _RejectedError("bad_score")
    return best.class_id, min(max(best.score, 0.0), 1.0)


def _without_duplicate_ids(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    best: dict[str, _Candidate] = {}
    for candidate in candidates:
        rival = best.get(candidate.detection_id)
        if rival is None or candidate.score > rival.score:
            best[candidate.detection_id] = candidate
    return [c for c in candidates if not c.detection_id or best[c.detection_id] is c]


def _best(candidates: Sequence[_Candidate], max_objects: int | None) -> list[_Candidate]:
    if max_objects is None or len(candidates) <= max_objects:
        return list(candidates)
    by_score = sorted(range(len(candidates)), key=lambda index: -candidates[index].score)
    return [candidates[index] for index in sorted(by_score[:max_objects])]


def _to_detections(candidates: Sequence[_Candidate]) -> Detections:
    boxes = np.array([candidate.box_xyxy for candidate in candidates], np.float32).reshape(-1, 4)
    return Detections.from_boxes(
        boxes,
        scores=np.array([candidate.score for candidate in candidates], np.float32),
        class_ids=tuple(candidate.class_id for candidate in candidates),
        detection_ids=tuple(candidate.detection_id for candidate in candidates),
    )
