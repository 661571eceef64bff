# SPDX-License-Identifier: Apache-2.0
"""Clips in DAVIS's layout, from the pictures to the strip."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from amodal_ros.errors import InvalidInputError
from benchmarks.tracking.__main__ import main
from benchmarks.tracking.clips import find_clips
from benchmarks.tracking.variants import BOX_SPEC, FEEDBACK, PROPAGATION

HW = (96, 128)
FRAMES = 6


def write_walk(folder: Path, values: tuple[int, ...] = (255,)) -> Path:
    """Squares that go to the right, 3 pixels a frame, each with a value in the labels."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    background = cv2.resize(coarse, HW[::-1], interpolation=cv2.INTER_CUBIC)
    for frame in range(FRAMES):
        image, label = background.copy(), np.zeros(HW, np.uint8)
        for row, value in enumerate(values):
            place = np.s_[10 + 40 * row : 40 + 40 * row, 20 + 3 * frame : 50 + 3 * frame]
            image[place], label[place] = (200, 30 * row, 30), value
        Image.fromarray(image).save(folder / f"{frame:05d}.jpg")
        Image.fromarray(label).save(folder / f"{frame:05d}.png")
    return folder


def test_labels_become_objects_and_a_folder_of_clips_is_searched(tmp_path: Path) -> None:
    write_walk(tmp_path / "b", (1, 2))
    write_walk(tmp_path / "a")
    (tmp_path / "notes").mkdir()
    first, second = find_clips([tmp_path], None, 2, 24.0)
    assert (first.name, second.name, second.number) == ("a", "b", 1)
    frames = second.frames()
    assert [frame.number for frame in frames] == [0, 2, 4]
    assert frames[1].stamp_s == pytest.approx(2 / 24)
    assert [one.name for one in frames[2].objects] == [1, 2]
    assert frames[2].objects[1].visible_box_xyxy.tolist() == [32, 50, 62, 80]
    assert frames[0].objects[0].amodal_mask is None
    assert frames[0].image_rgb.shape == (*HW, 3)
    alone = find_clips([tmp_path / "a"], None, 1, 24.0)
    assert [clip.name for clip in alone] == ["a"]
    assert len(alone[0].frames()) == FRAMES


def test_places_without_clips_and_labels_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"expected clips.json, or pictures with labels"):
        find_clips([tmp_path], None, 1, 24.0)
    folder = write_walk(tmp_path / "walk")
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(folder / "00003.png")
    with pytest.raises(InvalidInputError, match=r"00003.png: expected one channel of size"):
        find_clips([folder], None, 1, 24.0)[0].frames()


def test_given_and_detected_are_measured_and_drawn(tmp_path: Path) -> None:
    write_walk(tmp_path / "data" / "walk", (1, 2))
    arguments = ["--data", str(tmp_path / "data"), "--truth-like", "--mode", "given", "detected"]
    arguments += ["--errors", "0", "1", "--strips", str(tmp_path / "strips"), "--workers", "1"]
    assert main([*arguments, "--out", str(tmp_path / "out.json"), "--frame-rate", "24"]) == 0
    settings = json.loads((tmp_path / "out.json").read_text())["results"]["settings"]
    assert list(settings) == ["given", "detected, errors 0", "detected, errors 1"]
    given = settings["given"]["variants"]
    assert set(given) == {FEEDBACK, BOX_SPEC, PROPAGATION}
    assert given[FEEDBACK]["j"] > 60
    assert given[FEEDBACK]["identities"] == 2
    flawless = settings["detected, errors 0"]["variants"][FEEDBACK]
    assert (flawless["j"], flawless["f"], flawless["id_switches"]) == (100, 100, 0)
    assert "marks" not in settings["given"]
    strips = sorted(path.name for path in (tmp_path / "strips").iterdir())
    assert strips == [f"walk_{name}.png" for name in ("detected_0", "detected_1", "given_0")]
    picture = cv2.imread(str(tmp_path / "strips" / "walk_given_0.png"))
    assert picture.shape == (3 * 240, FRAMES * 320, 3)
