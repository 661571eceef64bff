# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.demo.sources import expected_count, limited, open_source
from amodal_ros.ros.demo.video import VideoWriter


def flat(level: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def write_image(path: Path, picture_rgb: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), picture_rgb[..., ::-1])
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    writer = VideoWriter(tmp_path / "ramp.mp4", 15)
    for level in (20, 90, 160, 230):
        writer.add(flat(level))
    writer.close()
    return tmp_path / "ramp.mp4"


def test_a_video_gives_its_frames_in_order_with_size_and_rate(video):
    source = open_source(str(video))
    assert (source.info.name, source.info.image_hw) == ("ramp", (48, 64))
    assert source.info.frame_rate == pytest.approx(15)
    assert source.info.frame_count == 4
    levels = [int(picture.mean()) for picture in source.frames()]
    assert np.allclose(levels, [20, 90, 160, 230], atol=4)
    assert len(list(source.frames())) == 4, "a source can be played again"


def test_an_image_is_rgb(tmp_path):
    picture = flat(0)
    picture[..., 0] = 200
    source = open_source(str(write_image(tmp_path / "red.png", picture)))
    (got,) = source.frames()
    assert np.array_equal(got, picture)


def test_a_folder_is_in_natural_order_and_other_files_are_passed_over(tmp_path):
    for number in (10, 9, 1, 100):
        write_image(tmp_path / f"img{number}.png", flat(number))
    (tmp_path / "notes.txt").write_text("not a picture")
    source = open_source(str(tmp_path))
    assert [int(picture[0, 0, 0]) for picture in source.frames()] == [1, 9, 10, 100]
    assert source.info.frame_count == 4


def test_frames_limit_a_source_and_repeat_a_still_image(tmp_path, video):
    clip = open_source(str(video))
    assert len(list(limited(clip, 3))) == expected_count(clip, 3) == 3
    assert len(list(limited(clip, 9))) == expected_count(clip, 9) == 4
    still = open_source(str(write_image(tmp_path / "still.png", flat(7))))
    assert len(list(limited(still, 3))) == expected_count(still, 3) == 3
    assert len(list(limited(still, None))) == expected_count(still, None) == 1


def test_a_missing_source_is_named_with_what_was_expected(tmp_path):
    with pytest.raises(InvalidInputError, match=r"nowhere\.mp4.*does not exist.*video.*camera"):
        open_source(str(tmp_path / "nowhere.mp4"))


def test_a_camera_that_is_not_there():
    with pytest.raises(InvalidInputError, match="camera 97 cannot be opened"):
        open_source("97")


@pytest.mark.parametrize("name", ["broken.mp4", "notes.txt", "broken.png", "empty.png"])
def test_a_file_that_is_no_picture_and_no_video(tmp_path, name):
    (tmp_path / name).write_bytes(b"" if name.startswith("empty") else b"not this" * 100)
    with pytest.raises(InvalidInputError, match=name):
        open_source(str(tmp_path / name))


def test_a_truncated_video(tmp_path, video):
    short = tmp_path / "short.mp4"
    short.write_bytes(video.read_bytes()[:600])
    with pytest.raises(InvalidInputError, match=r"short\.mp4"):
        open_source(str(short))


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(InvalidInputError, match="holds no picture"):
        open_source(str(tmp_path))


def test_a_folder_of_mixed_sizes_names_the_odd_one(tmp_path):
    write_image(tmp_path / "1.png", flat(1))
    write_image(tmp_path / "2.png", flat(2, 30, 40))
    with pytest.raises(InvalidInputError, match=r"2\.png is 40x30, expected 64x48"):
        list(open_source(str(tmp_path)).frames())
