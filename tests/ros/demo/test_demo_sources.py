# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.demo.pictures import VideoWriter
from amodal_ros.ros.demo.sources import _FrameClock, expected_count, limited, open_source


def flat(level: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def write_image(path: Path, picture_rgb: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), picture_rgb[..., ::-1])
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    writer = VideoWriter(tmp_path / "ramp.mp4", 15)
    for number, level in enumerate((20, 90, 160, 230)):
        writer.add(flat(level), number / 15)
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


def test_a_folder_may_hold_pictures_of_several_sizes(tmp_path):
    write_image(tmp_path / "1.png", flat(1))
    write_image(tmp_path / "2.png", flat(2, 30, 40))
    source = open_source(str(tmp_path))
    assert [picture.shape[:2] for picture in source.frames()] == [(48, 64), (30, 40)]
    assert source.info.image_hw == (48, 64)


def test_times_are_those_of_the_file(tmp_path):
    """15 frames at 30 a second, then 15 at 3 a second."""
    times = [n / 30 for n in range(15)] + [0.5 + n / 3 for n in range(15)]
    writer = VideoWriter(tmp_path / "varying.mp4", 30)
    for seconds in times:
        writer.add(flat(90), 7.0 + seconds)
    writer.close()
    source = open_source(str(tmp_path / "varying.mp4"))
    assert np.allclose([seconds for seconds, _ in source.timed_frames()], times, atol=1e-3)


def test_times_of_pictures_without_any(tmp_path):
    for number in range(3):
        write_image(tmp_path / f"{number}.png", flat(number))
    source = open_source(str(tmp_path))
    expected = [number / source.info.frame_rate for number in range(3)]
    assert [seconds for seconds, _ in source.timed_frames()] == pytest.approx(expected)
    still = open_source(str(tmp_path / "0.png"))
    assert [seconds for seconds, _ in limited(still, 3)] == pytest.approx(expected)


def test_times_rise_where_those_of_the_file_do_not():
    clock = _FrameClock(10.0)
    given = [None, 5.0, 5.5, 5.2, None, 7.0]
    assert [clock.seconds(time) for time in given] == pytest.approx([0, 0.1, 0.6, 0.7, 0.8, 2.1])


# The upper left 2 x 2 of a track's display matrix (ISO 14496-12, 8.3.2), and where the picture's
# upper left corner is then shown.
TURNS = {
    90: ((0, 1, -1, 0), (0, -1)),
    180: ((-1, 0, 0, -1), (-1, -1)),
    270: ((0, -1, 1, 0), (-1, 0)),
}


@pytest.mark.parametrize("degrees", TURNS)
def test_a_phone_video_is_upright(tmp_path, degrees):
    picture = flat(20)
    picture[:16, :16] = 230
    path = tmp_path / "phone.mp4"
    writer = VideoWriter(path, 15)
    for number in range(3):
        writer.add(picture, number / 15)
    writer.close()
    (a, b, c, d), corner = TURNS[degrees]
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    content = path.read_bytes()
    place = content.index(plain, content.index(b"tkhd"))
    path.write_bytes(content[:place] + turned + content[place + len(plain) :])
    source = open_source(str(path))
    shown = next(source.frames())
    assert shown.shape[:2] == source.info.image_hw == ((64, 48) if degrees != 180 else (48, 64))
    bright = [(y, x) for y in (0, -1) for x in (0, -1) if shown[y, x].mean() > 150]
    assert bright == [corner]


@pytest.mark.parametrize("name", ["folder", "clip.mp4", "still.png"])
def test_a_source_that_may_not_be_read_is_named(tmp_path, name):
    """The system's answer stands in for missing rights, which root always has."""
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.touch()

    def refuse(*_: object, **__: object):
        raise PermissionError(13, "Permission denied", str(path))

    with pytest.MonkeyPatch.context() as patch:
        for method in ("iterdir", "read_bytes"):
            patch.setattr(Path, method, refuse)
        patch.setattr(av, "open", refuse)
        with pytest.raises(InvalidInputError, match=rf"{name}.*cannot be read.*Permission denied"):
            open_source(str(path))
