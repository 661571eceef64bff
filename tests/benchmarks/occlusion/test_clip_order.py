# SPDX-License-Identifier: Apache-2.0
"""Who lies in front in clips: the truth of a frame, and a model that errs in one frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amodal_ros.types import AmodalPrediction
from benchmarks.occlusion.clips import ALONE, REMEMBERED, measure_clips, seen_pairs
from benchmarks.tracking.clips import ClipFrame, TrueObject
from training.datasets.sample import ImageFile, Provenance

HW = (120, 160)
FRAMES, WRONG = 6, 4


def rectangle(x0: int, x1: int) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[30:90, x0:x1] = True
    return mask


FRONT, BACK = rectangle(20, 80), rectangle(60, 130)


class Clip:
    """One object before another, neither of which moves; a `ClipSource`."""

    name = key = "still"
    number, frame_rate_hz = 0, 10.0

    def __init__(self, folder: Path) -> None:
        picture = np.full((*HW, 3), 120, np.uint8)
        picture[FRONT], picture[BACK & ~FRONT] = (200, 60, 60), (60, 60, 200)
        self._file = folder / "picture.png"
        Image.fromarray(picture).save(self._file)

    def frames(self) -> list[ClipFrame]:
        image = ImageFile.open(self._file, HW, Provenance(self._file, "picture"))
        objects = [TrueObject(1, FRONT, FRONT), TrueObject(2, BACK & ~FRONT, BACK)]
        return [ClipFrame(k, k / 10, image, objects) for k in range(FRAMES)]


class Model:
    """Says the truth, but in one frame."""

    def __init__(self) -> None:
        self._frame = -1

    def encode(self, image_rgb: np.ndarray) -> None:
        self._frame += 1

    def predict(
        self, features: None, boxes_xyxy: np.ndarray, priors: object, **_: object
    ) -> AmodalPrediction:
        both, strip = FRONT & BACK, rectangle(74, 80)
        seen = {True: (FRONT, BACK & ~FRONT), False: (FRONT & ~(both & strip), BACK)}
        chosen = np.stack(seen[self._frame != WRONG])
        rows = [0 if box[0] < 40 else 1 for box in boxes_xyxy]
        iou = np.full(len(rows), 0.9, np.float32)
        return AmodalPrediction.from_masks(np.stack([FRONT, BACK])[rows], chosen[rows], iou)


def test_earlier_images_mend_one_that_is_wrong(tmp_path: Path) -> None:
    (scores,) = measure_clips([Clip(tmp_path)], Model())
    alone, remembered = (scores[name].as_dict() for name in (ALONE, REMEMBERED))
    assert (alone["pairs"], remembered["pairs"]) == (FRAMES, FRAMES)
    assert (scores[ALONE].order.right, alone["changes"]) == (FRAMES - 1, 2)
    assert (scores[REMEMBERED].order.right, remembered["changes"]) == (FRAMES, 0)
    # Of the wrong frame: a strip of 6 of 60 columns, and 14 that both claim.
    wrong = (54 / 60 + 50 / 70) / 2
    assert alone["visible_iou"] == pytest.approx(100 * (FRAMES - 1 + wrong) / FRAMES, abs=3)
    assert remembered["visible_iou"] > alone["visible_iou"]


def test_of_two_the_one_that_is_seen_in_the_overlap_lies_in_front() -> None:
    amodal = np.stack([BACK, FRONT])
    (pair,) = seen_pairs(np.stack([BACK & ~FRONT, FRONT]), amodal)
    assert (pair.front, pair.back, pair.overlap, pair.woven) == (1, 0, 20 * 60, False)
    covered = amodal & ~(FRONT & BACK)  # something else lies over both
    assert seen_pairs(covered, amodal) == ()
