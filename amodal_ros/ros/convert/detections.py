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
from amodal_ros.ros.convert.box_units import BoxUnits
from amodal_ros.ros.watch.plausibility import repeated_id, scores_in_percent
from amodal_ros.types import Detections

# A box drawn by hand or sent by a tracker has no hypothesis; nobody doubts it.
SCORE_WITHOUT_HYPOTHESIS = 1.0
_SCORE_TOLERANCE = 1e-3
_SMALLEST_VISIBLE_SIDE_PX = 1.0
_SMALLEST_SIZE_PX = 0.01  # smaller ones would vanish in float32
_PIXELS = BoxUnits()


@dataclass(frozen=True)
class SanitisedDetections:
    """The usable boxes of one message, and what became of the others.

    Attributes:
        detections: the usable boxes.
        rejected: how many were left out, by reason: ``not_finite`` (NaN or infinite geometry),
            ``no_size`` (size negative or next to nothing), ``outside`` (less than a pixel, or
            than half of a smaller box, lies in the image), ``bad_score`` (not in [0, 1]),
            ``low_score`` (below ``min_score``), ``surplus`` (beyond ``max_objects`` by score).
        examples: the first box of a reason, in words.
        seen_boxes: (M, 4) float64 x0, y0, x1, y1 in pixels, not clipped: all that are finite.
        repeated_id: what an id that stands twice in the message means; None: none does.
        percent: whether the scores were 0..100; they were divided by 100.
    """

    detections: Detections
    rejected: Mapping[str, int]
    examples: Mapping[str, str]
    seen_boxes: np.ndarray
    repeated_id: str | None
    percent: bool


@dataclass(frozen=True)
class _Candidate:
    box_xyxy: tuple[float, float, float, float]
    score: float
    class_id: str
    detection_id: str


class _RejectedError(Exception):
    """A box cannot be used; the arguments are the reason and the box in words."""


def detections_from_message(
    message: Detection2DArray,
    image_hw: tuple[int, int],
    min_score: float = 0.0,
    max_objects: int | None = None,
    units: BoxUnits = _PIXELS,
) -> SanitisedDetections:
    """Read and sanitise the boxes of one image.

    The best hypothesis of a detection gives class and score; a detection without hypotheses has
    score 1 and no class. A rotated box is replaced by the upright box around it. Boxes are
    clipped to the image. The order of the message is kept.

    Args:
        message: boxes.
        image_hw: height and width of the image in pixels.
        min_score: detections below it are left out.
        max_objects: at most so many are kept, by score; None: all.
        units: what the boxes are measured in.

    Raises:
        InvalidInputError: if ``image_hw`` is not positive.
    """
    if min(image_hw) <= 0:
        raise InvalidInputError(f"image_hw {image_hw} must be positive")
    boxes = units.to_pixels(_upright_boxes(message), image_hw)
    best = [_best_hypothesis(detection) for detection in message.detections]
    percent = scores_in_percent([score for _, score in best])
    rejected: Counter[str] = Counter()
    examples: dict[str, str] = {}
    candidates: list[_Candidate] = []
    for detection, box, (class_id, score) in zip(message.detections, boxes, best, strict=True):
        try:
            clipped = _clipped_box(box, detection, image_hw)
            score = _checked_score(score / 100.0 if percent else score)
            candidates.append(_Candidate(clipped, score, class_id, detection.id))
        except _RejectedError as error:
            reason, words = error.args
            rejected[reason] += 1
            examples.setdefault(reason, words)
    confident = [candidate for candidate in candidates if candidate.score >= min_score]
    rejected["low_score"] += len(candidates) - len(confident)
    kept = _best(confident, max_objects)
    rejected["surplus"] += len(confident) - len(kept)
    return SanitisedDetections(
        _to_detections(kept),
        {reason: times for reason, times in rejected.items() if times},
        examples,
        boxes[np.isfinite(boxes).all(axis=1)],
        repeated_id([d.id for d in message.detections], [class_id for class_id, _ in best]),
        percent,
    )


def _upright_boxes(message: Detection2DArray) -> np.ndarray:
    """(N, 4) float64: the upright boxes around all detections, in the message's units."""
    numbers = np.array(
        [
            (
                box.center.position.x,
                box.center.position.y,
                box.size_x,
                box.size_y,
                box.center.theta,
            )
            for box in (detection.bbox for detection in message.detections)
        ],
        np.float64,
    ).reshape(-1, 5)
    x, y, width, height, theta = numbers.T
    with np.errstate(invalid="ignore", over="ignore"):
        cosine, sine = np.abs(np.cos(theta)), np.abs(np.sin(theta))
        half_width = width / 2 * cosine + height / 2 * sine
        half_height = width / 2 * sine + height / 2 * cosine
        return np.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=1)


def _clipped_box(
    box: np.ndarray, detection: Detection2D, image_hw: tuple[int, int]
) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = map(float, box)
    words = f"({x0:.6g}, {y0:.6g}, {x1:.6g}, {y1:.6g})"
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise _RejectedError("not_finite", words)
    sides = detection.bbox.size_x, detection.bbox.size_y
    no_size = _RejectedError("no_size", f"size {sides[0]:.6g}x{sides[1]:.6g}, expected above 0")
    if min(sides) <= 0:
        raise no_size
    half_width, half_height = (x1 - x0) / 2, (y1 - y0) / 2
    height, width = image_hw
    x0, x1 = max(x0, 0.0), min(x1, float(width))
    y0, y1 = max(y0, 0.0), min(y1, float(height))
    width_inside = x1 - x0 >= min(_SMALLEST_VISIBLE_SIDE_PX, half_width)
    height_inside = y1 - y0 >= min(_SMALLEST_VISIBLE_SIDE_PX, half_height)
    if not (width_inside and height_inside):
        raise _RejectedError(
            "outside",
            f"{words} in an image of {width}x{height}; if boxes are of another size, box_units "
            "says so",
        )
    if min(half_width, half_height) < _SMALLEST_SIZE_PX / 2:
        raise no_size
    return x0, y0, x1, y1


def _best_hypothesis(detection: Detection2D) -> tuple[str, float]:
    """Class and score of a detection; the score may be anything."""
    if not detection.results:
        return "", SCORE_WITHOUT_HYPOTHESIS
    hypotheses = [result.hypothesis for result in detection.results]
    finite = [hypothesis for hypothesis in hypotheses if math.isfinite(hypothesis.score)]
    best = max(finite or hypotheses, key=lambda hypothesis: hypothesis.score)
    return best.class_id, best.score


def _checked_score(score: float) -> float:
    if not -_SCORE_TOLERANCE <= score <= 1.0 + _SCORE_TOLERANCE:
        raise _RejectedError("bad_score", f"score {score:.6g}, expected 0 to 1")
    return min(max(score, 0.0), 1.0)


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
