# SPDX-License-Identifier: Apache-2.0
"""What a variant made of one clip: overlap with the truth, identity switches, survival."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amodal_ros.image.masks import mask_iou
from amodal_ros.metrics import boundary_f, measure_overlap
from benchmarks.tracking.clips import ClipFrame, TrueObject
from benchmarks.tracking.detector import FoundBoxes
from benchmarks.tracking.variants import FrameAnswer
from training.metrics.miou import davis_tolerance

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
class _Seen:
    """Visible masks against the truth, over instances: J is IoU, F that of the outline."""

    n: int = 0
    j: float = 0.0
    f: float = 0.0


@dataclass
class _Life:
    """One true object through the clip."""

    ids: list[tuple[int, int]] = field(default_factory=list)
    unseen: list[int] = field(default_factory=list)
    visible: list[int] = field(default_factory=list)


class ClipScore:
    """Collects a variant's answers to a clip.

    An object counts from its first box on, in every frame in which it is annotated. A mask without
    a box is compared with the object that its track last had a box of. Where nothing is visible
    of an object, an empty visible mask scores 1.
    """

    def __init__(self, frame_s: float) -> None:
        self._frame_s = frame_s
        self._sums: dict[int, dict[str, _Sums]] = defaultdict(
            lambda: {group: _Sums() for group in GROUPS}
        )
        self._seen: dict[int, _Seen] = defaultdict(_Seen)
        self._spare = 0
        self._frames = 0
        self._lives: dict[int, _Life] = defaultdict(_Life)
        self._owner: dict[int, int] = {}

    def add(self, frame: ClipFrame, found: FoundBoxes, answer: FrameAnswer) -> None:
        """Take in one frame."""
        rows = self._rows(frame, found, answer)
        self._frames += 1
        self._spare += len(answer.track_ids) - len(rows)
        has_box = found.are_found(len(frame.objects))
        for one, is_found in zip(frame.objects, has_box, strict=True):
            life = self._lives[one.name]
            (life.visible if one.is_visible else life.unseen).append(frame.number)
            if not life.ids:
                continue
            empty = np.zeros(frame.hw, bool)
            row = rows.get(one.name, -1)
            self._add_visible(one, empty if row < 0 else answer.visible_masks[row])
            if one.amodal_mask is not None:
                mask = empty if row < 0 else answer.amodal_masks[row]
                self._add_whole(one, one.amodal_mask, mask, bool(is_found))

    def result(self) -> dict[str, Any]:
        """Figures of the clip, ready for JSON."""
        lives = [life for life in self._lives.values() if life.ids]
        events = [event for life in lives for event in self._events(life)]
        return {
            "groups": {
                group: _total(_Sums(), [sums[group] for sums in self._sums.values()])
                for group in GROUPS
            },
            "visible": _total(_Seen(), list(self._seen.values())),
            "each_object": {
                str(name): {
                    "groups": {group: vars(sums) for group, sums in self._sums[name].items()},
                    "visible": vars(seen),
                }
                for name, seen in self._seen.items()
            },
            "objects": len(lives),
            "detections": sum(len(life.ids) for life in lives),
            "id_switches": sum(_switches(life) for life in lives),
            "identities": sum(len({track_id for _, track_id in life.ids}) for life in lives),
            "spare_per_frame": round(self._spare / max(self._frames, 1), 3),
            "hidden_events": len(events),
            "survived": sum(events),
        }

    def _rows(self, frame: ClipFrame, found: FoundBoxes, answer: FrameAnswer) -> dict[int, int]:
        """The row of the answer that stands for each true object, by the object's name."""
        rows: dict[int, int] = {}
        for row, detection in enumerate(answer.detections.tolist()):
            if detection < 0:
                continue
            name = frame.objects[int(found.owners[detection])].name
            track_id = int(answer.track_ids[row])
            if name not in rows:
                rows[name] = row
                self._lives[name].ids.append((frame.number, track_id))
            self._owner[track_id] = name
        for row, detection in enumerate(answer.detections.tolist()):
            name = self._owner.get(int(answer.track_ids[row]), -1)
            if detection < 0 and name >= 0:
                rows.setdefault(name, row)
        return rows

    def _add_visible(self, one: TrueObject, mask: NDArray[np.bool_]) -> None:
        truth, seen = one.visible_mask, self._seen[one.name]
        seen.n += 1
        seen.j += mask_iou(mask, truth) if mask.any() or truth.any() else 1.0
        seen.f += boundary_f(mask, truth, davis_tolerance((mask.shape[0], mask.shape[1])))

    def _add_whole(
        self, one: TrueObject, truth: NDArray[np.bool_], mask: NDArray[np.bool_], found: bool
    ) -> None:
        overlap = measure_overlap(mask, truth, one.visible_mask)
        group = "hidden" if not one.is_visible else "box dropped"
        for key in ("all", "with a box" if found else group):
            sums = self._sums[one.name][key]
            sums.n += 1
            sums.full += overlap.iou_full
            sums.n_occluded += overlap.is_occluded
            sums.occluded += overlap.iou_occluded if overlap.is_occluded else 0.0

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


def _total(zero: _Sums | _Seen, parts: Sequence[_Sums | _Seen]) -> dict[str, float]:
    """Sums of all fields; those of `zero` where there are no parts."""
    return {
        key: sum((vars(one)[key] for one in parts), start) for key, start in vars(zero).items()
    }


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
