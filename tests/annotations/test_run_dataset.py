# SPDX-License-Identifier: Apache-2.0
"""A run as a dataset: read back by what training reads, and by YOLO's rules."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from amodal_ros.annotations.dataset import RunDataset, yolo_line
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.masks import mask_iou
from amodal_ros.tracking.types import TrackedObject
from training.datasets import open_dataset

HW = 60, 80


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def tracked(
    track_id: int, class_id: str, visible: np.ndarray, amodal: np.ndarray
) -> TrackedObject:
    masks = CroppedMask.of(visible), CroppedMask.of(amodal)
    return TrackedObject(track_id, class_id, "", 1.0, 1.0, False, *masks)


def drawn(line: str) -> np.ndarray:
    """What a trainer makes of a label."""
    points = np.array(line.split()[1:], float).reshape(-1, 2) * HW[::-1]
    mask = np.zeros(HW, np.uint8)
    cv2.fillPoly(mask, [np.round(points - 0.5).astype(np.int32)], 1)
    return mask.astype(bool)


def write_run(folder: Path, **options: str) -> None:
    rng = np.random.default_rng(0)
    dataset = RunDataset(folder, {"description": "test"}, **options)
    cup = rectangle(10, 10, 30, 50)
    empty = tracked(4, "cup", np.zeros(HW, bool), np.zeros(HW, bool))
    first = [
        tracked(3, "cup", cup & rectangle(0, 0, 80, 30), cup),
        empty,
        tracked(-1, "", rectangle(40, 10, 70, 20), rectangle(40, 10, 70, 20)),
    ]
    assert dataset.add(rng.integers(0, 255, (*HW, 3), np.uint8), first) == "000000.jpg"
    hidden = [tracked(3, "cup", np.zeros(HW, bool), cup)]
    dataset.add(rng.integers(0, 255, (*HW, 3), np.uint8), hidden)
    dataset.add(rng.integers(0, 255, (*HW, 3), np.uint8), [])
    assert len(dataset) == 3
    dataset.close()


def test_amodal_coco_is_read_back(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    samples = list(
        open_dataset("amodal_coco", tmp_path / "run", tmp_path / "run/annotations.json")
    )
    assert [(one.track_id, one.category_name, one.frame) for one in samples] == [
        (3, "cup", 0),
        (None, "object", 0),
        (3, "cup", 1),
    ]
    np.testing.assert_array_equal(samples[0].amodal_mask, rectangle(10, 10, 30, 50))
    np.testing.assert_array_equal(samples[0].visible_mask, rectangle(10, 10, 30, 30))
    assert samples[0].image.load().shape == (*HW, 3)
    assert not samples[2].visible_mask.any()


def test_yolo_labels_are_whole_objects_or_what_is_seen(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    data = yaml.safe_load((tmp_path / "run" / "data.yaml").read_text())
    assert data["names"] == {0: "cup", 1: "object"}
    assert "path" not in data, "it would be taken from the trainer's folder, not from this one"
    cup, other = (tmp_path / "run/labels/000000.txt").read_text().splitlines()
    assert (cup.split()[0], other.split()[0]) == ("0", "1")
    np.testing.assert_array_equal(drawn(cup), rectangle(10, 10, 30, 50))
    np.testing.assert_array_equal(drawn(other), rectangle(40, 10, 70, 20))
    assert (tmp_path / "run/labels/000002.txt").read_text() == ""
    write_run(tmp_path / "seen", yolo_masks="visible")
    cup, _ = (tmp_path / "seen/labels/000000.txt").read_text().splitlines()
    np.testing.assert_array_equal(drawn(cup), rectangle(10, 10, 30, 30))
    assert (tmp_path / "seen/labels/000001.txt").read_text() == ""  # nothing of it is seen


def test_parts_are_joined_and_holes_filled() -> None:
    parts = rectangle(5, 5, 20, 20) | rectangle(30, 8, 50, 25) | rectangle(60, 40, 75, 55)
    with_hole = parts & ~rectangle(34, 12, 40, 18)
    line = yolo_line(2, CroppedMask.of(with_hole))
    assert line is not None
    assert mask_iou(drawn(line), parts) > 0.93  # bridges are drawn one pixel wide
    assert yolo_line(0, CroppedMask.of(rectangle(3, 3, 4, 4))) is None
    assert yolo_line(0, CroppedMask.empty(HW)) is None


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match="is not empty"):
        RunDataset(tmp_path, {})


def test_a_run_without_frames(tmp_path: Path) -> None:
    RunDataset(tmp_path / "run", {}).close()
    assert yaml.safe_load((tmp_path / "run" / "data.yaml").read_text())["names"] == {}
