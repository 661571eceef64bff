# SPDX-License-Identifier: Apache-2.0
"""What a variant made of one clip: overlap with the truth, identity switches, survival."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.tracking.clips import ClipFrame, is_visible
from benchmarks.tracking.variants import FrameAnswer
from training.metrics import measure_overlap

SURVIVAL_S = 1.0
GROUPS = ("all", "with a box", "box dropped", "hidden")


@dataclass
class _Sums:
    """Over instances of a group."""

    n: int = 0
    full: float = 0.0
    n_occluded: int = 0
    occluded: float = 0.0


@dataclass
class _Life:
    """One true object through the clip.

    Attributes:
        ids: the identity it was given at each of its detections: (frame, identity).
        unseen: frames in which it is annotated, and too little of it is visible for a box.
        visible: frames in which enough of it is.
    """

    ids: list[tuple[int, int]] = field(default_factory=list)
    unseen: list[int] = field(default_factory=list)
    visible: list[int] = field(default_factory=list)


class ClipScore:
    """Collects a variant's answers to a clip.

    An object counts from its first detection on. A mask without a detection is compared with the
    object that its track was last detected on.
    """

    def __init__(self, frame_s: float) -> None:
        self._frame_s = frame_s
        self._sums = {group: _Sums() for group in GROUPS}
        self._lives: dict[int, _Life] = defaultdict(_Life)
        self._owner: dict[int, int] = {}

    def add(self, frame: ClipFrame, answer: FrameAnswer) -> None:
        """Take in one frame."""
        detected = np.flatnonzero(frame.detected)
        rows: dict[int, int] = {}  # object -> row of the answer
        names = [int(sample.track_id or 0) for sample in frame.samples]
        for row, detection in enumerate(answer.detections):
            if detection >= 0:
                name = names[detected[detection]]
                track_id = int(answer.track_ids[row])
                rows[name] = row
                self._owner[track_id] = name
                self._lives[name].ids.append((frame.number, track_id))
        for row, detection in enumerate(answer.detections):
            name = self._owner.get(int(answer.track_ids[row]), -1)
            if detection < 0 and name >= 0:
                rows.setdefault(name, row)
        for number, (name, sample) in enumerate(zip(names, frame.samples, strict=True)):
            life = self._lives[name]
            (life.visible if is_visible(sample) else life.unseen).append(frame.number)
            if not life.ids:
                continue
            mask = np.zeros(frame.hw, bool)
            if name in rows:
                mask = answer.amodal_masks[rows[name]]
            overlap = measure_overlap(mask, sample.amodal_mask, sample.visible_mask)
            group = "hidden" if not is_visible(sample) else "box dropped"
            for key in ("all", "with a box" if frame.detected[number] else group):
                sums = self._sums[key]
                sums.n += 1
                sums.full += overlap.iou_full
                sums.n_occluded += overlap.is_occluded
                sums.occluded += overlap.iou_occluded if overlap.is_occluded else 0.0

    def result(self) -> dict[str, Any]:
        """Figures of the clip, ready for JSON."""
        events = [event for life in self._lives.values() for event in self._events(life)]
        return {
            "groups": {group: vars(sums) for group, sums in self._sums.items()},
            "objects": sum(bool(life.ids) for life in self._lives.values()),
            "detections": sum(len(life.ids) for life in self._lives.values()),
            "id_switches": sum(_switches(life) for life in self._lives.values()),
            "hidden_events": len(events),
            "survived": sum(events),
        }

    def _events(self, life: _Life) -> list[bool]:
        """For each time it was hidden for a second and came back: whether its identity stayed."""
        outcomes = []
        for first, last in _runs(life.unseen, set(life.visible)):
            before = [track_id for frame, track_id in life.ids if frame < first]
            after = [track_id for frame, track_id in life.ids if frame > last]
            hidden_s = (last - first) * self._frame_s
            if hidden_s >= SURVIVAL_S - 1e-6 and before and after:
                outcomes.append(before[-1] == after[0] >= 0)
        return outcomes


def _switches(life: _Life) -> int:
    """How often two detections of an object in a row bear different identities."""
    ids = [track_id for _, track_id in life.ids]
    return sum(a != b for a, b in itertools.pairwise(ids))


def _runs(unseen: list[int], visible: set[int]) -> list[tuple[int, int]]:
    """First and last frame of each time without a visible frame between."""
    runs: list[tuple[int, int]] = []
    for frame in unseen:
        if runs and not any(k in visible for k in range(runs[-1][1], frame)):
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return runs
