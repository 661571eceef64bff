# SPDX-License-Identifier: Apache-2.0
"""The demo as users start it: real processes over real DDS, with a fast predictor."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from amodal_ros.ros.demo.sources import CLIP_ANNOTATIONS, open_source
from tests.ros.bag.bag_rig import IMAGES, entries, write_mcap
from tests.ros.demo.demo_command import PROCESSES, TIMEOUT_S, Demo


@pytest.fixture
def start(repository_root: Path) -> Iterator:
    demos: list[Demo] = []

    def make(*arguments: object, delay_s: float = 0.0, **options: object) -> Demo:
        texts = [str(text) for text in arguments]
        demos.append(Demo(repository_root, texts, delay_s, **options))
        return demos[-1]

    yield make
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.communicate()


@pytest.fixture
def still(tmp_path: Path) -> Path:
    picture = np.random.default_rng(3).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "still.png"), picture)
    return tmp_path / "still.png"


def test_the_default_clip_gives_all_files_and_its_accuracy(start, tmp_path):
    out = tmp_path / "out"
    code, output = start("--frames", 3, "--out", out).finish()
    assert code == 0, output
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["frames_sent"], summary["frames_answered"]) == (3, 3)
    assert summary["frames_dropped"] == 0
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]
    truth = json.loads(CLIP_ANNOTATIONS.read_text())
    first = {r["name"]: r for r in truth["annotations"] if r["image_id"] == 1}
    records = json.loads((out / "masks.json").read_text())
    assert {r["detection_id"] for r in records if r["frame"] == 0} == set(first)
    assert {r["class_id"] for r in records} >= {"teddy bear", "ball"}
    for record in records:
        if record["frame"] == 0:  # the predictor's amodal mask is the box that it was given
            assert record["amodal_bbox"] == first[record["detection_id"]]["visible_bbox"]
    assert 20 < summary["miou_full"] < 90
    assert len(list(open_source(str(out / "overlay.mp4")).frames())) == 3
    assert (out / "contact_sheet.png").stat().st_size > 10_000
    assert "mIoU full" in output


def test_a_box_lives_on_without_detections(start, tmp_path, still):
    code, output = start(
        "--source", still, "--box", "20,30,80,90", "--frames", 3, "--out", tmp_path / "out"
    ).finish()
    assert code == 0, output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["frames_answered"], summary["objects_published"]) == (3, 3)
    assert "miou_full" not in summary
    records = json.loads((tmp_path / "out" / "masks.json").read_text())
    assert not any(record["coasting"] for record in records)  # given, and still seen
    assert len({record["track_id"] for record in records}) == 1


def test_a_recording_is_played_with_its_own_boxes(start, tmp_path):
    source = write_mcap(tmp_path / "recorded.mcap", entries(4))
    out = tmp_path / "out"
    code, output = start("--source", source, "--image-topic", IMAGES, "--out", out).finish()
    assert code == 0, output
    records = json.loads((out / "masks.json").read_text())
    assert [record["frame"] for record in records] == [0, 1, 2, 3]
    assert {record["detection_id"] for record in records} == {"cup1"}
    assert [record["amodal_bbox"] for record in records] == [
        [20 + f, 30, 60, 60] for f in range(4)
    ]
    stamps = [record["stamp"] for record in records]
    times = [stamp["sec"] * 10**9 + stamp["nanosec"] for stamp in stamps]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [10**8] * 3


def test_real_time_counts_what_a_slow_node_drops(start, tmp_path, still):
    boxes = tmp_path / "boxes.json"
    entries = [{"frame": f, "boxes": [{"box": [20, 30, 80, 90], "id": "a"}]} for f in range(12)]
    boxes.write_text(json.dumps({"frames": entries}))
    out = tmp_path / "out"
    options = ["--source", still, "--boxes", boxes, "--frames", 12, "--rate", 20, "--out", out]
    code, output = start(*options, delay_s=0.25).finish()
    assert code == 0, output
    summary = json.loads((out / "summary.json").read_text())
    assert summary["frames_sent"] == 12
    assert 1 <= summary["frames_answered"] < 12
    assert summary["frames_dropped"] == 12 - summary["frames_answered"]
    assert len(list(open_source(str(out / "overlay.mp4")).frames())) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "nowhere.mp4"], "does not exist"),
        (["--source", "STILL"], "--box x0,y0,x1,y1"),
        (["--source", "STILL", "--box", "200,0,300,50"], "outside the picture of 160x120"),
        (["--source", "STILL", "--box", "9,9"], "expected x0,y0,x1,y1"),
        (["--model", "no_such_model"], "no_such_model"),
        (["--source", "STILL", "--boxes", "LATE"], "frames from 7 on, but only 1 frames are"),
        (["--source", "STILL", "--image-topic", "/a"], "--image-topic is for recordings"),
        (["--source", "BAG"], "no boxes are recorded in"),
        (["--source", "BAG", "--box", "1,2,9,9", "--detections-topic", "/a"], "give one"),
        (["--source", "BAG", "--box", "1,2,9,9", "--image-topic", "/a"], "has no topic /a"),
    ],
)
def test_wrong_input_is_one_line_and_starts_nothing(start, tmp_path, still, arguments, message):
    late = tmp_path / "late.json"
    late.write_text('{"frames": [{"frame": 7, "boxes": [{"box": [20, 30, 80, 90]}]}]}')
    bag = write_mcap(tmp_path / "a.mcap", entries(1, boxes_topic=""))
    files = {"STILL": str(still), "LATE": str(late), "BAG": str(bag)}
    given = [files.get(text, text) for text in arguments]
    code, output = start(*given, "--out", tmp_path / "out").finish()
    assert code == 2
    assert message in output
    assert len(output.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "logs").exists()


@pytest.mark.parametrize("victim", PROCESSES)
def test_a_killed_process_ends_the_demo_with_an_error(start, tmp_path, victim):
    demo = start("--out", tmp_path, delay_s=0.3)
    children = demo.children()
    demo.wait_for_frames(tmp_path)
    os.kill(children[victim], signal.SIGKILL)
    code, output = demo.finish()
    assert code == 1, output
    assert "SIGKILL" in output
    assert victim.removeprefix("demo_fake_").removeprefix("demo.") in output
    assert demo.survivors() == []


def test_ctrl_c_writes_what_was_done_and_leaves_no_process(start, tmp_path):
    demo = start("--out", tmp_path, delay_s=0.3)
    demo.children()
    demo.wait_for_frames(tmp_path)
    demo.process.send_signal(signal.SIGINT)
    code, output = demo.finish()
    assert code == 130, output
    assert "interrupted" in output
    assert "Traceback" not in output
    assert demo.survivors() == []
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert 1 <= summary["frames_sent"] < 48
    assert (tmp_path / "contact_sheet.png").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_ended_parent_leaves_no_process(start, tmp_path, number):
    demo = start("--out", tmp_path, delay_s=0.3)
    demo.children()
    demo.process.send_signal(number)
    demo.process.communicate(timeout=TIMEOUT_S)
    assert demo.survivors() == []


def test_two_demos_at_once_do_not_mix(start, tmp_path, still):
    """In one and the same ROS_DOMAIN_ID, which a robot's shell has set."""
    demos = []
    for number in range(2):
        box = ("--source", still, "--box", f"{20 + number},30,80,90", "--frames", 4)
        demos.append(start(*box, "--out", tmp_path / str(number), ROS_DOMAIN_ID="107"))
    for number, demo in enumerate(demos):
        code, output = demo.finish()
        assert code == 0, output
        records = json.loads((tmp_path / str(number) / "masks.json").read_text())
        assert [record["frame"] for record in records] == [0, 1, 2, 3]
        assert {record["amodal_bbox"][0] for record in records} == {20 + number}


def test_without_a_home_directory(start, tmp_path, still):
    options = ("--source", still, "--box", "20,30,80,90", "--out", tmp_path / "out")
    code, output = start(*options, HOME="/proc/nowhere", ROS_LOG_DIR="").finish()
    assert code == 0, output


def test_results_that_do_not_fit_on_the_disk_are_an_error(start, tmp_path):
    """A limit on the size of files stands in for a disk that fills while the demo plays."""
    picture = np.random.default_rng(3).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), picture)
    options = ("--source", tmp_path / "noise.png", "--box", "20,30,80,90", "--frames", 40)
    code, output = start(*options, "--out", tmp_path / "out", largest_file=2_200_000).finish()
    assert code == 1, output
    assert "the results cannot be written" in output
    assert "File too large: " in output
    assert "Traceback" not in output


@pytest.mark.parametrize("fault", ["full", "file"])
def test_a_folder_that_cannot_be_written_is_one_line(start, tmp_path, still, fault):
    options = ("--source", still, "--box", "20,30,80,90", "--out", tmp_path / "out")
    if fault == "file":
        (tmp_path / "out").touch()
    largest_file = 10_000 if fault == "full" else None
    code, output = start(*options, largest_file=largest_file).finish()
    assert code == 2
    (line,) = output.strip().splitlines()
    assert "nothing can be written to --out" in line
    assert ("File too large" if fault == "full" else "Not a directory") in line


def test_a_recorder_that_saw_nothing_says_so(tmp_path):
    command = [sys.executable, "-m", "amodal_ros.ros.demo.recorder", "--out", str(tmp_path / "o")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert any("recording until" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert "none of 0 frames was answered" in output


def test_the_models_own_masks(repository_root, tmp_path):
    """The whole chain with nothing replaced: the command that `scripts/demo` runs."""
    command = [
        sys.executable,
        "-m",
        "amodal_ros.ros.demo",
        "--frames",
        "2",
        "--timeout",
        "200",
    ]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=repository_root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["frames_sent"], summary["frames_answered"]) == (2, 2)
    assert summary["objects_published"] == 12
    assert summary["miou_full"] > 75
    records = json.loads((tmp_path / "masks.json").read_text())
    assert all(record["predicted_iou"] > 0.5 for record in records)


def test_help_needs_no_package_at_all(repository_root):
    command = [sys.executable, "-S", "-m", "amodal_ros.ros.demo", "--help"]
    done = subprocess.run(command, cwd=repository_root, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0
    for option in ("--source", "--box", "--boxes", "--rate", "--frames", "--out", "--model"):
        assert option in done.stdout
