# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from amodal_ros.annotations.amodal_coco import Truth
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.rle import encode_rle
from amodal_ros.ros.demo.pictures import choose_rows, contact_sheet, overlay_frame
from amodal_ros.ros.demo.recording import NothingAnsweredError, Recording
from amodal_ros.ros.demo.results import (
    CameraReport,
    SentFrame,
    object_from_record,
    object_record,
)
from amodal_ros.ros.demo.run import FILES
from amodal_ros.ros.demo.sources import open_source
from amodal_ros.tracking.tracker import TrackedObject

HW = (60, 80)
SUMMARY_KEYS = [
    "frames_sent",
    "frames_answered",
    "frames_dropped",
    "objects_published",
    "latency_ms",
]


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def published(
    amodal: np.ndarray, visible: np.ndarray, track_id: int = 0, detection_id: str = "cup"
) -> TrackedObject:
    masks = CroppedMask.of(visible), CroppedMask.of(amodal)
    return TrackedObject(track_id, "", detection_id, 1.0, 0.9, not detection_id, *masks)


def half_hidden(track_id: int = 0, detection_id: str = "cup") -> TrackedObject:
    return published(rectangle(10, 10, 50, 50), rectangle(10, 10, 30, 50), track_id, detection_id)


def grey(level: int = 120) -> np.ndarray:
    return np.full((*HW, 3), level, np.uint8)


def truth_of(frames: list[list[tuple[str, np.ndarray, np.ndarray]]]) -> Truth:
    """From amodal and visible masks by frame and name."""
    images = [{"id": 10 + index, "frame": index} for index in range(len(frames))]
    records = [
        {
            "image_id": 10 + index,
            "name": name,
            "segmentation": encode_rle(amodal),
            "visible_mask": encode_rle(visible),
        }
        for index, objects in enumerate(frames)
        for name, amodal, visible in objects
    ]
    return Truth({"images": images, "annotations": records})


def test_the_files_of_a_recording(tmp_path: Path):
    recording = Recording(tmp_path, 10, "test")
    for frame in range(3):
        recording.add_image(frame, grey(60 + frame))
        recording.add_answer(frame, [half_hidden(), half_hidden(1, "box")])
        recording.add_latency(frame, 100.0 * (frame + 1))
    summary = recording.finish(None, None)
    assert list(summary) == SUMMARY_KEYS
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    assert (summary["frames_sent"], summary["frames_answered"]) == (3, 3)
    assert (summary["frames_dropped"], summary["objects_published"]) == (0, 6)
    assert summary["latency_ms"] == {"p50": 200.0, "p90": 280.0, "p99": 298.0}
    records = json.loads((tmp_path / "masks.json").read_text())
    assert [(r["frame"], r["track_id"]) for r in records] == [
        (frame, track) for frame in range(3) for track in range(2)
    ]
    assert np.array_equal(coco_mask.decode(records[0]["amodal_mask"]), rectangle(10, 10, 50, 50))
    assert records[0]["visible_bbox"] == [10, 10, 20, 40]
    assert records[0]["occlusion_rate"] == pytest.approx(0.5)
    assert len(list(open_source(str(tmp_path / "overlay.mp4")).frames())) == 3
    assert cv2.imread(str(tmp_path / "contact_sheet.png")) is not None


def test_pictures_and_answers_may_come_in_any_order(tmp_path):
    recording = Recording(tmp_path, 10, "test")
    recording.add_answer(0, [half_hidden()])
    recording.add_image(0, grey())
    recording.add_image(1, grey())
    recording.add_image(2, grey())
    recording.add_answer(2, [])
    summary = recording.finish(None, None)
    assert (summary["frames_answered"], summary["frames_dropped"]) == (2, 1)
    assert len(list(open_source(str(tmp_path / "overlay.mp4")).frames())) == 3


def test_the_cameras_report_numbers_the_frames(tmp_path):
    frames = [SentFrame(number, stamp, stamp) for number, stamp in enumerate((100, 200, 300))]
    CameraReport(frames).save(tmp_path / "r")
    recording = Recording(tmp_path, 10, "test")
    recording.add_image(300, grey())
    recording.add_answer(300, [half_hidden()])
    summary = recording.finish(CameraReport.load(tmp_path / "r"), None)
    assert (summary["frames_sent"], summary["frames_dropped"]) == (3, 2)
    (record,) = json.loads((tmp_path / "masks.json").read_text())
    assert record["frame"] == 2


def test_latency_counts_from_the_sending_and_the_video_goes_by_the_stamps(tmp_path):
    """In lockstep a stamp is the picture's time in the source, and its sending comes later."""
    second = 10**9
    stamps = [0, second // 10, 2 * second]
    frames = [SentFrame(n, stamp, 5 * n * second) for n, stamp in enumerate(stamps)]
    CameraReport(frames).save(tmp_path / "r")
    recording = Recording(tmp_path, 10, "test")
    for frame in frames:
        recording.add_image(frame.stamp_ns, grey())
        recording.add_answer(frame.stamp_ns, [half_hidden()])
        recording.add_latency(frame.stamp_ns, (frame.sent_ns - frame.stamp_ns) / 1e6 + 40.0)
    summary = recording.finish(CameraReport.load(tmp_path / "r"), None)
    assert summary["latency_ms"] == {"p50": 40.0, "p90": 40.0, "p99": 40.0}
    times = [seconds for seconds, _ in open_source(str(tmp_path / "overlay.mp4")).timed_frames()]
    assert np.allclose(times, [0, 0.1, 2.0], atol=1e-3)


def test_pictures_of_other_sizes_are_shown_whole(tmp_path):
    recording = Recording(tmp_path, 10, "test")
    recording.add_image(0, grey(200))
    recording.add_answer(0, [half_hidden()])
    tall = np.full((90, 30, 3), 200, np.uint8)
    mask = np.zeros((90, 30), bool)
    mask[20:60, 5:25] = True
    recording.add_image(second := 10**9, tall)
    recording.add_answer(second, [published(mask, mask, 1)])
    recording.finish(None, None)
    first, other = open_source(str(tmp_path / "overlay.mp4")).frames()
    assert first.shape == other.shape
    middle = other.shape[1] // 2
    assert other[5, middle].min() > 120  # the picture, from top to bottom
    assert other[:, :40].max() < 40  # black beside it
    sheet = cv2.imread(str(tmp_path / "contact_sheet.png"))
    assert sheet is not None


@pytest.mark.parametrize("name", [*FILES])
def test_a_full_disk_is_an_error_for_every_file(tmp_path, name):
    (tmp_path / name).symlink_to("/dev/full")
    recording = Recording(tmp_path, 10, "test")
    recording.add_image(0, grey())
    recording.add_answer(0, [half_hidden()])
    with pytest.raises(OSError, match="No space left"):
        recording.finish(None, None)


def test_nothing_answered_is_an_error_and_the_summary_says_so(tmp_path):
    recording = Recording(tmp_path, 10, "test")
    recording.add_image(0, grey())
    with pytest.raises(NothingAnsweredError, match="none of 1 frames was answered"):
        recording.finish(None, None)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["frames_answered"], summary["frames_dropped"]) == (0, 1)
    assert summary["latency_ms"] == {"p50": None, "p90": None, "p99": None}


def test_accuracy_is_of_answered_frames_and_counts_missing_objects_as_zero(tmp_path):
    amodal, visible = rectangle(10, 10, 50, 50), rectangle(10, 10, 30, 50)
    unseen = (rectangle(60, 10, 70, 20),) * 2
    frame = [("cup", amodal, visible), ("ball", *unseen)]
    recording = Recording(tmp_path, 10, "test")
    for stamp in range(3):
        recording.add_image(stamp, grey())
    recording.add_answer(0, [half_hidden()])
    recording.add_answer(1, [half_hidden(detection_id="")])  # coasts: known by its track
    summary = recording.finish(None, truth_of([frame] * 3))
    assert list(summary) == [*SUMMARY_KEYS, "miou_full", "miou_occ"]
    assert summary["miou_full"] == pytest.approx(50.0)  # cup 1, ball 0, in both frames
    assert summary["miou_occ"] == pytest.approx(100.0)  # only the cup has a hidden part


def test_a_record_gives_the_object_back():
    found = half_hidden()
    again = object_from_record(object_record(5, found))
    assert np.array_equal(again.amodal_mask, found.amodal_mask)
    assert np.array_equal(again.visible_mask, found.visible_mask)
    assert (again.detection_id, again.occlusion_rate) == ("cup", pytest.approx(0.5))


def test_the_overlay_marks_visible_and_hidden_parts_and_nothing_else():
    picture = np.full((480, 640, 3), 120, np.uint8)
    amodal, visible = np.zeros((2, 480, 640), bool)
    amodal[100:300, 100:300] = True
    visible[100:300, 100:200] = True
    drawn = overlay_frame(picture, [published(amodal, visible)], {0: "cup"}, "frame 0")
    changed = (drawn != 120).any(axis=2)
    assert changed[110:290, 110:190].all()
    assert changed[110:290, 210:290].all()
    assert not changed[320:440].any()
    assert not changed[:, 330:].any()


def test_an_unanswered_frame_is_dark():
    assert overlay_frame(np.full((480, 640, 3), 200, np.uint8), None, {}, "x").mean() < 120


def test_small_odd_pictures_become_even_ones():
    assert overlay_frame(np.zeros((61, 83, 3), np.uint8), [], {}, "").shape == (480, 652, 3)


def test_the_contact_sheet_has_a_row_for_each_frame():
    one = contact_sheet([("frame 0", grey(), [half_hidden()])], {0: "cup"}, "t")
    two = contact_sheet([("frame 0", grey(), [half_hidden()])] * 2, {0: "cup"}, "t")
    row = 560 * 60 // 80 + 14
    assert two.shape == (one.shape[0] + row, one.shape[1], 3)


def test_the_chosen_frames_hold_the_first_and_the_most_hidden():
    assert choose_rows([0, 1, 2], [5, 5, 5], 5) == [0, 1, 2]
    hidden = [0] * 40
    hidden[13], hidden[37] = 900, 500
    chosen = choose_rows(list(range(40)), hidden, 5)
    assert len(set(chosen)) == 5
    assert chosen == sorted(chosen)
    assert {0, 13, 37} <= set(chosen)
    assert choose_rows(list(range(41)), [0] * 41, 5) == [0, 6, 16, 26, 36]
    rising = choose_rows(list(range(48)), list(range(48)), 5)
    falling = choose_rows(list(range(48)), list(range(48, 0, -1)), 5)
    for chosen in (rising, falling):
        assert min(np.diff(chosen)) >= 4
