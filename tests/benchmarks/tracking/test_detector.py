# SPDX-License-Identifier: Apache-2.0
"""The detector of known faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import box_iou
from benchmarks.tracking.clips import ClipFrame, TrueObject
from benchmarks.tracking.detector import FaultyDetector, FoundBoxes
from training.datasets.sample import ImageFile

HW = (120, 200)
LEFT, RIGHT, FAR = (10, 20, 60, 80), (60, 20, 100, 80), (150, 20, 190, 100)
FRAMES = 400


def look(strength: float, seed: int = 0) -> list[FoundBoxes]:
    """What is found of two objects that touch and one that stands apart, over many frames."""
    objects = []
    for name, (x0, y0, x1, y1) in enumerate((LEFT, RIGHT, FAR)):
        mask = np.zeros(HW, bool)
        mask[y0:y1, x0:x1] = True
        objects.append(TrueObject(name, mask))
    detector = FaultyDetector(strength, 0.0, seed, 3)
    image = ImageFile(Path("none.png"), HW)
    return [detector.look(ClipFrame(k, k / 24, image, objects)) for k in range(FRAMES)]


def test_without_faults_the_boxes_are_the_true_ones() -> None:
    for found in look(0.0):
        assert found.detections.boxes_xyxy.tolist() == [list(LEFT), list(RIGHT), list(FAR)]
        assert found.owners.tolist() == [0, 1, 2]
        assert set(found.detections.class_ids) == {"object"}


def test_every_fault_happens_and_more_with_more_strength() -> None:
    shares = []
    for strength in (0.5, 1.0):
        frames = look(strength)
        far = [one.detections.boxes_xyxy[one.owners == 2] for one in frames]
        left = [one.detections.boxes_xyxy[one.owners == 0] for one in frames]
        best = [float(box_iou(boxes[:1], [FAR])[0, 0]) for boxes in far if len(boxes)]
        merged = [box_iou(boxes, [(10, 20, 100, 80)]).max(initial=0) > 0.75 for boxes in left]
        named = [name for one in frames for name in one.detections.class_ids]
        shares.append(
            [
                np.mean([len(boxes) == 0 for boxes in far]),
                np.mean([len(boxes) == 2 for boxes in far]),
                np.mean(merged),
                np.mean(np.array(best) < 0.75),
                1 - np.mean(best),
                np.mean([name != "object" for name in named]),
            ]
        )
    half, whole = np.array(shares)
    assert (half > 0.02).all()
    assert (whole > 1.3 * half).all()
    assert (whole < 0.5).all()


def test_faults_follow_the_seed() -> None:
    first, again, other = (look(1.0, seed)[:20] for seed in (0, 0, 1))
    boxes = [[one.detections.boxes_xyxy for one in frames] for frames in (first, again, other)]
    assert all(np.array_equal(a, b) for a, b in zip(boxes[0], boxes[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(boxes[0], boxes[2], strict=True))


@pytest.mark.parametrize(
    ("strength", "drop", "text"),
    [(3.0, 0.0, "strength: expected 0 to 2, got 3.0"), (0.0, 1.0, r"drop: .* got 1.0")],
)
def test_wrong_settings_are_refused(strength: float, drop: float, text: str) -> None:
    with pytest.raises(InvalidInputError, match=text):
        FaultyDetector(strength, drop, 0, 0)
