# SPDX-License-Identifier: Apache-2.0
"""What a contestant published while a clip was played; offline, with all the time it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.tracking.asking import ask
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject
from amodal_ros.types import Detections
from benchmarks.streaming.clip import FPS, Mosaic
from benchmarks.streaming.scores import Answer, Masks


@dataclass(frozen=True)
class Load:
    """How late answers were, and what the machine had to do meanwhile.

    Attributes:
        delay_ms: from showing a frame to its masks' arrival: median and 90th percentile; None:
            not known (masks ahead have another frame's stamp).
        late: share of the answers that came after the next frame; None: likewise.
        node_cores: processors that the node used.
        player_cores: likewise, camera, detector and receiver of the masks.
    """

    delay_ms: tuple[float, float] | None
    late: float | None
    node_cores: float
    player_cores: float

    @classmethod
    def of(
        cls, delays_s: Sequence[float], interval_s: float, node_cores: float, player_cores: float
    ) -> Load:
        """That of delays, with so many seconds from frame to frame."""
        delay_ms, late = None, None
        if delays_s:
            middle, most = (float(np.percentile(delays_s, share)) for share in (50, 90))
            delay_ms = round(1e3 * middle, 1), round(1e3 * most, 1)
            late = round(float(np.mean(np.array(delays_s) > interval_s)), 3)
        return cls(delay_ms, late, round(node_cores, 2), round(player_cores, 2))


@dataclass(frozen=True, eq=False)
class Played:
    """What happened while a clip was played.

    Attributes:
        frames: (time, number in the clip) of each frame that was sent.
        answers: what came, in order.
        load: of the machine; None: it was not watched.
    """

    frames: Sequence[tuple[float, int]]
    answers: Sequence[Answer]
    load: Load | None = None


def pace(mosaic: Mosaic, rate_hz: float, seconds: float) -> list[tuple[float, int]]:
    """When each frame is sent, and which of the clip it is."""
    times = [count / rate_hz for count in range(round(seconds * rate_hz))]
    return [(time_s, mosaic.number_at(time_s)) for time_s in times]


def detections(boxes: Mapping[str, tuple[int, int, int, int]]) -> Detections:
    """Boxes as a detector gives them; the objects' names are their identities."""
    return Detections.from_boxes(list(boxes.values()), detection_ids=list(boxes))


def named(objects: Iterable[TrackedObject], names: dict[int, str]) -> dict[str, Masks]:
    """The masks of tracks by the objects' names, which detections bring and tracks keep."""
    found = {}
    for one in objects:
        if one.detection_id:
            names[one.track_id] = one.detection_id
        name = names.get(one.track_id)
        if name is not None:
            found[name] = Masks(one.visible, one.amodal)
    return found


def offline(mosaic: Mosaic, predictor: AmodalPredictor, seconds: float, stride: int) -> Played:
    """Every so manieth frame, with all the time that it takes: what the model can do."""
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
