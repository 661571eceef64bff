# SPDX-License-Identifier: Apache-2.0
"""Streaming accuracy: the clip of many objects, the newest answer, marks and picture."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from PIL import Image
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.rle import encode_rle
from benchmarks.streaming.clip import Mosaic, Truth, shots_of
from benchmarks.streaming.play import play_to_contestant, stamped
from benchmarks.streaming.played import Load, pace
from benchmarks.streaming.report import marks, streaming_markdown, write_picture
from benchmarks.streaming.scores import Answer, Masks, score

HW = (40, 60)


def rectangle(x0: int, x1: int) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[10:30, x0:x1] = True
    return mask


class MovingSource:
    """One object that goes two pixels further with each frame; its right half is hidden."""

    def truths(self, number: int) -> dict[str, Truth]:
        x0 = 2 * number
        return {"one": Truth(rectangle(x0, x0 + 10), rectangle(x0, x0 + 20))}


def answer_of(number: int, arrival_s: float) -> Answer:
    truth = MovingSource().truths(number)["one"]
    return Answer(arrival_s, {"one": Masks.of(truth.visible, truth.amodal)})


def test_the_newest_answer_counts_at_each_frames_time() -> None:
    frames = [(0.0, 0), (0.1, 1), (0.2, 2)]
    at_once = score(frames, [answer_of(n, t) for t, n in frames], MovingSource())
    assert (at_once.miou_full, at_once.miou_occ, at_once.visible_iou) == (100.0, 100.0, 100.0)
    late = score(frames, [answer_of(n, t + 0.1) for t, n in frames], MovingSource())
    one_behind = 18 / 22
    assert late.miou_full == pytest.approx(100 * one_behind, abs=0.01)  # the first one has none
    later = score(frames, [answer_of(n, t + 0.2) for t, n in frames], MovingSource())
    assert later.miou_full == pytest.approx(100 * (0 + 16 / 24) / 2, abs=0.01)
    nothing = score(frames, [], MovingSource())
    assert (nothing.miou_full, nothing.visible_iou, nothing.answers_hz) == (0.0, 0.0, 0.0)


def test_the_clip_has_as_many_objects_as_asked_for() -> None:
    mosaic = Mosaic(8)
    assert mosaic.hw == (960, 1280)
    assert mosaic.picture(5).shape == (960, 1280, 3)
    truths, boxes = mosaic.truths(5), mosaic.boxes(5)
    assert len(truths) == 8
    assert set(boxes) <= set(truths)
    assert {name[0] for name in truths} == {"0", "1"}
    for name, (x0, y0, x1, y1) in boxes.items():
        assert truths[name].visible[y0:y1, x0:x1].sum() == truths[name].visible.sum()
        assert not (truths[name].visible & ~truths[name].amodal).any()
    with pytest.raises(InvalidInputError, match="objects: expected 1 to 24, got 25"):
        Mosaic(25)


def test_the_clip_runs_there_and_back() -> None:
    mosaic = Mosaic(1)
    indices = [mosaic._index(number, 0) for number in range(96)]
    assert (indices[0], indices[47], indices[48], indices[94]) == (0, 47, 46, 0)
    assert max(abs(a - b) for a, b in pairwise(indices)) == 1


def test_other_clips_lie_in_the_corners(tmp_path: Path) -> None:
    """Two clips of four frames: an object in each, further right in each frame."""
    images, annotations = [], []
    for clip in (1, 2):
        for frame in range(4):
            number = len(images) + 1
            name = f"{number}.png"
            Image.fromarray(np.full((*HW, 3), 40 * clip, np.uint8)).save(tmp_path / name)
            images.append(
                {"id": number, "file_name": name, "height": HW[0], "width": HW[1]}
                | {"video_id": clip, "frame": frame}
            )
            mask = rectangle(2 * frame, 2 * frame + 10 * clip)
            record: dict[str, Any] = {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "track_id": clip,
            }
            record |= {"segmentation": encode_rle(mask), "visible_mask": encode_rle(mask)}
            record |= {"bbox": [2 * frame, 10, 10 * clip, 20], "area": 200 * clip, "iscrowd": 0}
            annotations.append(record)
    categories = [{"id": 1, "name": "thing"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "clips.json").write_text(json.dumps(content))
    mosaic = Mosaic(2, shots_of(tmp_path))
    assert mosaic.hw == (80, 120)
    first, second = mosaic.truths(0).items()
    assert (first[0], second[0]) == ("0.1", "1.2")
    assert np.count_nonzero(first[1].amodal[:40, :60]) == 200
    assert np.count_nonzero(second[1].amodal[:40, 60:]) == 400
    picture = mosaic.picture(0)
    assert [int(picture[y, x, 0]) for y, x in ((5, 5), (5, 65), (45, 5))] == [40, 80, 40]
    with pytest.raises(InvalidInputError, match="objects: expected 1 to 4, got 5"):
        Mosaic(5, shots_of(tmp_path))


def test_pace() -> None:
    plan = pace(Mosaic(1), 5.0, 1.0)
    assert [number for _, number in plan] == [0, 2, 4, 7, 9]
    assert plan[-1][0] == pytest.approx(0.8)


def test_a_serialised_message_takes_another_stamp() -> None:
    header = Header(frame_id="camera", stamp=Time(sec=1, nanosec=2))
    message = Detection2DArray(header=header, detections=[Detection2D(id="cup")])
    before = serialize_message(message)
    found = deserialize_message(stamped(before, Time(sec=70, nanosec=999)), Detection2DArray)
    message.header.stamp = Time(sec=70, nanosec=999)
    assert found == message
    assert deserialize_message(before, Detection2DArray).header.stamp.sec == 1


def test_what_is_late_and_what_was_busy() -> None:
    load = Load.of([0.05] * 8 + [0.15] * 2, 0.1, 1.512, 0.2)
    assert load == Load((50.0, 150.0), 0.2, 1.51, 0.2)
    assert Load.of([], 0.1, 1.5, 0.2) == Load(None, None, 1.5, 0.2)
    row = {"contestant": "budget", "objects": 8, "rate_hz": 10.0, "miou_full": 75.0}
    row |= {"miou_occ": None, "visible_iou": 70.0, "answers_hz": 10.0}
    row |= {"delay_ms": [50.0, 60.0], "late": 0.2, "node_cores": 1.51, "player_cores": 0.2}
    settings = {"virtual": None, "threads": 2, "seconds": 8.0}
    document = {"commit": "c", "date": "2026-01-01", "settings": settings}
    page = streaming_markdown({**document, "results": {"rows": [row], "marks": {}}})
    assert "| budget | 8 | 10 | 50 | 60 | 20 % | 1.51 | 0.20 |" in page


class BoxMasks:
    """Answers with filled boxes."""

    def run(self, image_rgb: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
        masks = np.zeros((len(boxes_xyxy), *image_rgb.shape[:2]), bool)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes_xyxy.astype(int), strict=True):
            mask[y0:y1, x0:x1] = True
        return masks

    def close(self) -> None:
        pass


def test_a_contestant_takes_the_newest_frame() -> None:
    mosaic = Mosaic(2)
    played = play_to_contestant(mosaic, BoxMasks(), 10.0, 0.5)
    assert len(played.frames) == 5
    assert played.answers
    found = score(played.frames, played.answers, mosaic)
    assert 0 < found.visible_iou <= 100


def test_marks_and_picture(tmp_path: Path) -> None:
    rows = [
        {"contestant": name, "objects": 8, "rate_hz": rate, "miou_full": value}
        for name, rate, value in (
            ("budget", 10.0, 75.0),
            ("no budget", 10.0, 60.0),
            ("offline", 0.0, 80.0),
            ("budget", 30.0, 70.0),
            ("budget, ahead", 10.0, 76.0),
        )
    ]
    found = marks(rows)
    assert found["points_over_no_budget"] == {"value": 15.0, "least": 10.0, "met": True}
    assert found["share_of_offline"]["value"] == 0.938
    assert found["share_of_offline_ahead"]["value"] == 0.95
    write_picture(tmp_path / "picture.png", rows)
    assert (tmp_path / "picture.png").stat().st_size > 1000
