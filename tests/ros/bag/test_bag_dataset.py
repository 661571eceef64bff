# SPDX-License-Identifier: Apache-2.0
"""``python -m amodal_ros.ros.bag.dataset``: a recorded run becomes a dataset."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
import yaml

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.ros.bag.dataset import main
from amodal_ros.ros.convert.masks import encode_masks
from amodal_ros.tracking.tracker import TrackedObject
from tests.ros.bag.bag_rig import (
    BOXES,
    IMAGES,
    LATE_NS,
    Entry,
    compressed,
    entries,
    header,
    image,
    picture,
    stamp_ns,
    write_mcap,
    write_sqlite,
)
from training.datasets import open_dataset

MASKS = "/amodal/masks"
HW = (120, 160)


def masks(frame: int) -> Entry:
    whole, seen = np.zeros(HW, bool), np.zeros(HW, bool)
    whole[30:90, 20 + frame : 80 + frame] = True
    seen[30:60, 20 + frame : 80 + frame] = True
    cropped = CroppedMask.of(seen), CroppedMask.of(whole)
    tracked = TrackedObject(5, "cup", "", 1.0, 1.0, False, *cropped)
    message = encode_masks([tracked], header(frame), HW).message
    return MASKS, stamp_ns(frame) + 9 * LATE_NS, message


def test_images_and_masks_of_one_recording(tmp_path: Path) -> None:
    """Frame 1 was not answered."""
    recorded = sorted([*entries(4), masks(0), masks(2), masks(3)], key=lambda entry: entry[1])
    recording = write_mcap(tmp_path / "run.mcap", recorded)
    out = tmp_path / "out"
    assert main([str(recording), str(out)]) == 0
    samples = list(open_dataset("amodal_coco", out, out / "annotations.json"))
    assert [(one.track_id, one.category_name) for one in samples] == [(5, "cup")] * 3
    for sample, frame in zip(samples, (0, 2, 3), strict=True):
        assert sample.amodal_box_xyxy.tolist() == [20 + frame, 30, 80 + frame, 90]
        assert sample.visible_mask.sum() == 60 * 30
        difference = np.abs(sample.image.load().astype(int) - picture(frame))
        assert difference[32:88, 25 + frame : 75 + frame].mean() < 12  # JPEG
    assert yaml.safe_load((out / "data.yaml").read_text())["names"] == {0: "cup"}
    assert len(list((out / "labels").iterdir())) == 3


def test_masks_beside_the_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As the recording's answers are written; compressed images, and masks of no image."""
    pictures = write_mcap(
        tmp_path / "in.mcap",
        [("/camera/image_raw/compressed", stamp_ns(n) + LATE_NS, compressed(n)) for n in (0, 2)],
    )
    answers = write_mcap(tmp_path / "out.mcap", [masks(n) for n in range(4)])
    out = tmp_path / "dataset"
    command = [str(answers), str(out), "--images", str(pictures), "--yolo", "visible"]
    assert main(command) == 0
    assert "2 mask messages belong to no image" in caplog.text
    (line,) = (out / "labels" / "000000.txt").read_text().splitlines()
    assert max(float(value) for value in line.split()[2::2]) <= 0.5  # no hidden part


def test_answers_in_another_order_than_their_stamps_meet_their_images(tmp_path: Path) -> None:
    """Times of recording are those of images which were recorded out of order."""
    recorded = []
    for place, frame in enumerate((0, 2, 1, 3)):
        recorded.append((IMAGES, stamp_ns(place), image(frame)))
        recorded.append((MASKS, stamp_ns(place) + LATE_NS, masks(frame)[2]))
    recording = write_mcap(tmp_path / "run.mcap", recorded)
    out = tmp_path / "out"
    assert main([str(recording), str(out)]) == 0
    samples = list(open_dataset("amodal_coco", out, out / "annotations.json"))
    assert [one.amodal_box_xyxy.tolist()[0] for one in samples] == [20, 21, 22, 23]


def test_messages_that_cannot_be_read_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording = write_sqlite(tmp_path / "a.db3", [*entries(3), *(masks(n) for n in range(3))])
    with sqlite3.connect(recording) as database:  # the image of frame 1, the masks of frame 2
        database.execute("UPDATE messages SET data = substr(data, 1, 60) WHERE id IN (3, 9)")
    out = tmp_path / "out"
    assert main([str(recording), str(out)]) == 0
    assert "a.db3: frame 1: " in caplog.text
    assert f"masks of stamp {stamp_ns(2)} ns cannot be read: " in caplog.text
    assert len(list((out / "images").iterdir())) == 1


@pytest.mark.parametrize(
    ("recorded", "text"),
    [
        (entries(2), "no topic of masks (amodal_msgs/msg/AmodalMaskArray)"),
        ([masks(0)], "no image topic"),
        ([*entries(1), masks(1)], "has the stamp of masks"),
    ],
)
def test_what_is_missing_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recorded: list[Entry], text: str
) -> None:
    recording = write_mcap(tmp_path / "run.mcap", recorded)
    assert main([str(recording), str(tmp_path / "out")]) == 2
    assert text in caplog.text


def test_a_folder_in_use_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording = write_mcap(tmp_path / "run.mcap", [*entries(1), masks(0)])
    assert main([str(recording), str(tmp_path)]) == 2
    assert "is not empty" in caplog.text
    assert main([str(recording), str(tmp_path / "out"), "--masks-topic", BOXES]) == 2
    assert f"--masks-topic {BOXES}" in caplog.text
