# SPDX-License-Identifier: Apache-2.0
"""A detector of known faults: the boxes of what is visible, and what goes wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.types import Detections
from benchmarks.tracking.clips import ClipFrame, TrueObject

# Of a detector at strength 1, worse than most that are in use: probabilities for each object and
# frame, and standard deviations relative to the sides of the box.
_MISSED = 0.15  # in a frame alone
_MISSED_LONG = 0.08  # in a whole run of frames
_RUN_FRAMES = 6
_JITTER = 0.05
_PART = 0.1
_PART_SIDE = (0.4, 0.75)  # of the longer side of the box, what a part shows
_MERGED = 0.4  # two objects whose boxes touch
_TOUCHING = 0.03  # of the longer side of a box: so near boxes touch
_DUPLICATE = 0.15
_DUPLICATE_JITTER = 0.15
_OTHER_CLASS = 0.2
_CLASS, _WRONG_CLASS = "object", "thing"
_LEAST_SIDE = 2.0


@dataclass(frozen=True, eq=False)
class FoundBoxes:
    """What the detector says of a frame.

    Attributes:
        detections: D of them, without identity.
        owners: (D,) int, the row of the object that each shows; of two that a box holds, the
            larger one.
    """

    detections: Detections
    owners: NDArray[np.int64]

    def are_found(self, objects: int) -> NDArray[np.bool_]:
        """(objects,) bool, which of them a box shows."""
        found = np.zeros(objects, bool)
        found[self.owners] = True
        return found


@dataclass(frozen=True)
class FaultyDetector:
    """Gives the true boxes of what is visible, with seeded faults.

    The faults of an object in a frame depend on seed, clip, object and frame alone.

    Attributes:
        strength: of all faults but `drop`: jitter, missed frames and runs of frames, boxes that
            show a part, one box for two objects that touch, two for one, another class. 0: none,
            1: worse than most detectors in use.
        drop: probability that a box is missed, beside that.
        seed: of everything.
        clip: its number.
    """

    strength: float
    drop: float
    seed: int
    clip: int

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            InvalidInputError: naming the field and what came.
        """
        if not 0 <= self.strength <= 2:
            raise InvalidInputError(f"strength: expected 0 to 2, got {self.strength}")
        if not 0 <= self.drop < 1:
            raise InvalidInputError(f"drop: expected a number in [0, 1), got {self.drop}")

    def look(self, frame: ClipFrame) -> FoundBoxes:
        """What it finds in a frame."""
        visible = [row for row, one in enumerate(frame.objects) if one.is_visible]
        kept = [row for row in visible if not self._misses(frame.objects[row], frame.number)]
        boxes: list[tuple[int, NDArray[np.float64], float, str]] = []
        for group in self._groups(frame, kept):
            corners = np.array([frame.objects[row].visible_box_xyxy for row in group], float)
            box = np.append(corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0))
            owner = max(group, key=lambda row: np.count_nonzero(frame.objects[row].visible_mask))
            boxes += [(owner, *one) for one in self._boxes(box, frame, owner)]
        clipped = [(*one[:1], _clipped(one[1], frame.hw), *one[2:]) for one in boxes]
        return FoundBoxes(
            Detections.from_boxes(
                [box for _, box, _, _ in clipped],
                [score for _, _, score, _ in clipped],
                [name for _, _, _, name in clipped],
            ),
            np.array([owner for owner, _, _, _ in clipped], np.int64),
        )

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.clip, *key])

    def _misses(self, one: TrueObject, frame: int) -> bool:
        if self._rng(one.name, frame).random() < self.drop:
            return True
        alone = self._rng(one.name, frame, 1).random()
        lasting = self._rng(one.name, frame // _RUN_FRAMES, 2).random()
        return alone < _MISSED * self.strength or lasting < _MISSED_LONG * self.strength

    def _groups(self, frame: ClipFrame, rows: Sequence[int]) -> list[list[int]]:
        """Rows that share a box: mostly one each, now and then two that touch."""
        groups: list[list[int]] = []
        left = list(rows)
        while left:
            row, *left = left
            chance = self._rng(frame.objects[row].name, frame.number, 3).random()
            beside = [other for other in left if _touch(frame.objects[row], frame.objects[other])]
            if beside and chance < _MERGED * self.strength:
                left.remove(beside[0])
                groups.append([row, beside[0]])
            else:
                groups.append([row])
        return groups

    def _boxes(
        self, box: NDArray[np.float64], frame: ClipFrame, owner: int
    ) -> list[tuple[NDArray[np.float64], float, str]]:
        """What becomes of a true box: box, score and class, now and then twice."""
        rng = self._rng(frame.objects[owner].name, frame.number, 4)
        chances = rng.random(3)
        if chances[0] < _PART * self.strength:
            box = _part(box, rng)
        wrong = chances[1] < _OTHER_CLASS * self.strength
        name = _WRONG_CLASS if wrong else _CLASS
        score = float(1 - 0.3 * self.strength * rng.random() / 2)
        found = [(_jittered(box, _JITTER * self.strength, rng), score, name)]
        if chances[2] < _DUPLICATE * self.strength:
            found.append((_jittered(box, _DUPLICATE_JITTER, rng), 0.6 * score, _WRONG_CLASS))
        return found


def _touch(one: TrueObject, other: TrueObject) -> bool:
    """Whether two boxes overlap or nearly do."""
    a, b = one.visible_box_xyxy, other.visible_box_xyxy
    reach = _TOUCHING * max(float((a[2:] - a[:2]).max()), float((b[2:] - b[:2]).max()))
    return bool((a[:2] - reach < b[2:]).all() and (b[:2] - reach < a[2:]).all())


def _part(box: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """One end of a box along its longer side."""
    axis = int(np.argmax(box[2:] - box[:2]))
    length = float(box[2 + axis] - box[axis]) * rng.uniform(*_PART_SIDE)
    part = box.copy()
    if rng.random() < 0.5:
        part[2 + axis] = part[axis] + length
    else:
        part[axis] = part[2 + axis] - length
    return part


def _jittered(
    box: NDArray[np.float64], deviation: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    sides = np.tile(box[2:] - box[:2], 2)
    return np.asarray(box + rng.normal(0, 1, 4) * deviation * sides)


def _clipped(box: NDArray[np.float64], hw: tuple[int, int]) -> NDArray[np.float32]:
    """Inside the image, and of some size."""
    limits = np.array(hw[::-1], float)
    low = np.clip(np.minimum(box[:2], box[2:]), 0, limits - _LEAST_SIDE)
    high = np.clip(np.maximum(box[:2], box[2:]), low + _LEAST_SIDE, limits)
    return np.concatenate([low, high]).astype(np.float32)
