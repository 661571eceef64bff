# SPDX-License-Identifier: Apache-2.0
"""What a contestant published while a clip was played; offline, with all the time it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.tracking.asking import ask
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject
from amodal_ros.types import Detections
from benchmarks.streaming.clip import FPS, Mosaic
from benchmarks.streaming.scores import Answer, Masks


@dataclass(frozen=True, eq=False)
class Played:
    """What happened while a clip was played.

    Attributes:
        frames: (time, number in the clip) of each frame that was sent.
        answers: what came, in order.
    """

    frames: Sequence[tuple[float, int]]
    answers: Sequence[Answer]


def pace(mosaic: Mosaic, rate_hz: float, seconds: float) -> list[tuple[float, int]]:
    """When each frame is sent, and which of the clip it is."""
    times = [count / rate_hz for count in range(round(seconds * rate_hz))]
    return [(time_s, mosaic.number_at(time_s)) for time_s in times]


def detections(boxes: Mapping[str, tuple[int, int, int, int]]) -> Detections:
    """Boxes as a detector gives them; the objects' names are their identities."""
    return Detections.from_boxes(list(boxes.values()), detection_ids=list(boxes))


def named(objects: Iterable[TrackedObject], names: dict[int, str]) -> dict[str, Masks]:
    """The masks of tracks by the objects' names, which detections bring and tracks keep.

    Args:
        objects: of an answer.
        names: of the tracks so far; new ones are added.
    """
    found = {}
    for one in objects:
        if one.detection_id:
            names[one.track_id] = one.detection_id
        name = names.get(one.track_id)
        if name is not None:
            found[name] = Masks(one.visible, one.amodal)
    return found


def offline(mosaic: Mosaic, predictor: AmodalPredictor, seconds: float, stride: int) -> Played:
    """Every so manieth frame, with all the time that it takes: what the model can do.

    Args:
        mosaic: the clip.
        predictor: the model.
        seconds: of the clip.
        stride: 1: every frame.
    """
    tracker, names = AmodalTracker(), dict[int, str]()
    frames, answers = [], []
    for number in range(0, int(seconds * FPS), stride):
        picture = mosaic.picture(number)
        found = detections(mosaic.boxes(number))
        plan = tracker.plan(found, number / FPS, mosaic.hw, picture)
        prediction = ask(predictor, predictor.encode(picture), plan)
        objects = named(tracker.update(plan, prediction), names)
        frames.append((number / FPS, number))
        answers.append(Answer(number / FPS, objects))
    return Played(frames, answers)
