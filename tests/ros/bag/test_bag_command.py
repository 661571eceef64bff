# SPDX-License-Identifier: Apache-2.0
"""``python -m amodal_ros.ros.bag``: recordings of other software in, answers of each frame out."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from amodal_msgs.msg import AmodalMaskArray
from mcap.reader import make_reader
from mcap.writer import CompressionType
from mcap_ros2.decoder import DecoderFactory
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from amodal_ros.errors import BackendError, InvalidInputError
from amodal_ros.ros.bag.__main__ import main
from amodal_ros.ros.bag.checkpoint import Checkpoints, Progress
from tests.ros.bag.bag_rig import (
    BOXES,
    IMAGES,
    LATE_NS,
    boxes,
    entries,
    image,
    stamp_ns,
    write_mcap,
    write_sqlite,
)
from tests.ros.fake_predictor import FakePredictor

ROOT = Path(__file__).parents[3]
MASKS, FOUND = "/amodal/masks", "/amodal/detections"


class Moody(FakePredictor):
    """Calls something before its answer of that number."""

    def __init__(self, number: int = -1, act: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.number, self.act = number, act

    def predict(self, *given, **named):
        if len(self.priors) == self.number:
            self.act()
        return super().predict(*given, **named)


@pytest.fixture
def run(capsys):
    """Runs the command in this process; its exit status and what it wrote, on one line."""

    def command(*arguments: object, predictor: FakePredictor | None = None) -> tuple[int, str]:
        predictor = predictor or FakePredictor()
        status = main([str(text) for text in arguments], lambda parameters: predictor)
        written = capsys.readouterr()
        return status, " ".join((written.out + written.err).split())

    return command


def read(path: Path, topic: str) -> list:
    """(time of recording, message) as other software decodes them: by the file's definitions."""
    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        found = reader.iter_decoded_messages(topics=[topic])
        return [(entry.message.log_time, entry.decoded_message) for entry in found]


def raw(path: Path, topic: str) -> list[tuple[int, bytes]]:
    """(time of recording, bytes)."""
    with path.open("rb") as file:
        return [(m.log_time, m.data) for _, _, m in make_reader(file).iter_messages([topic])]


def stamp(message) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.mark.parametrize("kind", ["mcap", "sqlite"])
def test_every_frame_is_answered_and_stamps_are_kept(run, tmp_path, kind):
    recorded = [entry for entry in entries(6) if entry[2] != boxes(4)]  # one without boxes
    source = tmp_path / f"in.{'mcap' if kind == 'mcap' else 'db3'}"
    (write_mcap if kind == "mcap" else write_sqlite)(source, recorded)
    out = tmp_path / "out.mcap"
    code, output = run(source, out)
    assert code == 0, output
    assert "6 of 6 frames answered, 6 masks" in output
    assert "1 images without boxes of their own" in output
    masks = read(out, MASKS)
    assert [stamp(message) for _, message in masks] == [stamp_ns(frame) for frame in range(6)]
    assert [log_ns for log_ns, _ in masks] == [stamp_ns(frame) + LATE_NS for frame in range(6)]
    for frame, (_, message) in enumerate(masks):
        (mask,) = message.masks
        assert (message.header.frame_id, message.height, message.width) == ("camera", 120, 160)
        assert mask.coasting == (frame == 4)
        assert mask.detection_id == ("" if frame == 4 else "cup1")
    assert len({message.masks[0].track_id for _, message in masks}) == 1
    assert [stamp(message) for _, message in read(out, FOUND)] == [stamp_ns(f) for f in range(6)]
    with out.open("rb") as file:
        topics = {c.topic for c in make_reader(file).get_summary().channels.values()}
    assert topics == {MASKS, FOUND}
    assert not (tmp_path / "out.mcap.part").exists()


def test_topics_are_copied_as_they_are(run, tmp_path):
    recorded = [*entries(3), (MASKS, stamp_ns(0), image(0))]
    source = write_sqlite(tmp_path / "in.db3", recorded)
    out = tmp_path / "out.mcap"
    code, output = run(source, out, "--copy", "all", "--namespace", "left")
    assert code == 0, output
    originals = read(out, IMAGES)
    assert [log_ns for log_ns, _ in originals] == [stamp_ns(f) + LATE_NS for f in range(3)]
    assert bytes(originals[1][1].data) == bytes(image(1).data)
    assert len(read(out, BOXES)) == len(read(out, "/left/amodal/masks")) == 3
    code, output = run(source, out, "--restart", "--copy", IMAGES)
    assert code == 0, output
    assert not read(out, BOXES)
    assert len(read(out, MASKS)) == len(read(out, IMAGES)) == 3


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_a_run_goes_on_with_the_same_answers(run, tmp_path, how):
    source = write_mcap(tmp_path / "in.mcap", entries(8))
    whole, out = tmp_path / "whole.mcap", tmp_path / "out.mcap"
    assert run(source, whole, "--copy", "all")[0] == 0
    if how == "killed":
        command = [sys.executable, "-m", "tests.ros.bag.bag_fake", str(source), str(out)]
        environment = {**os.environ, "FAKE_KILL_AT": "3"}
        ended = subprocess.run(command, cwd=ROOT, env=environment, check=False, timeout=120)
        assert ended.returncode == -signal.SIGKILL
    else:
        before = signal.getsignal(signal.SIGINT)
        status, output = run(source, out, predictor=Moody(2, interrupt))
        assert status == 130
        assert "interrupted after 3 of 8 frames; the same command goes on from there" in output
        assert signal.getsignal(signal.SIGINT) is before
    assert not out.exists()
    status, output = run(source, out, "-p", "max_objects:=3")
    assert status == 2
    assert "is of another run (parameters " in output
    status, output = run(source, out, "--copy", "all")
    assert status == 0, output
    assert "going on after frame 3 of 8" in output
    assert "8 of 8 frames answered, 8 masks" in output
    assert raw(out, IMAGES) == raw(whole, IMAGES)
    for topic, kind in ((MASKS, AmodalMaskArray), (FOUND, Detection2DArray)):
        # Padding between fields holds anything, so bytes of equal messages may differ.
        found, expected = (
            [(log_ns, deserialize_message(data, kind)) for log_ns, data in raw(file, topic)]
            for file in (out, whole)
        )
        assert found == expected


def test_an_engine_that_fails_keeps_what_was_done(run, tmp_path):
    source, out = write_mcap(tmp_path / "in.mcap", entries(4)), tmp_path / "out.mcap"
    failing = Moody(2)
    failing.act = lambda: failing.failures.append(BackendError("the engine is on fire"))
    status, output = run(source, out, predictor=failing)
    assert status == 1
    assert output.endswith("amodal_bag: the engine is on fire")
    status, output = run(source, out)
    assert status == 0, output
    assert "going on after frame 2 of 4" in output
    assert len(read(out, MASKS)) == 4


@pytest.mark.parametrize("kind", ["json", "recording"])
def test_boxes_may_come_from_elsewhere(run, tmp_path, kind):
    source = write_mcap(tmp_path / "in.mcap", entries(3, boxes_topic=""))
    out = tmp_path / "out.mcap"
    code, output = run(source, out)
    assert code == 2
    assert "no boxes are recorded in" in output
    assert f"{IMAGES} (sensor_msgs/msg/Image, 3)" in output
    given = tmp_path / "boxes.json"
    if kind == "json":
        frames = [{"frame": f, "boxes": [{"box": [20, 30, 80, 90]}]} for f in range(3)]
        given.write_text(json.dumps({"frames": frames}))
    else:
        recorded = [(BOXES, stamp_ns(f) + LATE_NS, boxes(f)) for f in range(3)]
        given = write_mcap(tmp_path / "boxes.mcap", recorded)
    code, output = run(source, out, "--boxes", given)
    assert code == 0, output
    assert [len(message.masks) for _, message in read(out, MASKS)] == [1, 1, 1]


def test_a_damaged_recording_is_answered_as_far_as_it_goes(run, tmp_path):
    source = write_mcap(tmp_path / "in.mcap", entries(6))
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    code, output = run(source, tmp_path / "out.mcap")
    assert code == 0, output
    assert "it ends after" in output
    assert 2 <= len(read(tmp_path / "out.mcap", MASKS)) < 6


def test_damage_in_a_copied_topic_costs_that_part_alone(run, tmp_path):
    notes = [("/notes", stamp_ns(f), Header(frame_id=f"note {f}")) for f in range(3)]
    recorded = [*entries(3), *notes]
    plain = {"compression": CompressionType.NONE, "chunk_size": 10}
    source = write_mcap(tmp_path / "in.mcap", recorded, **plain)
    source.write_bytes(source.read_bytes().replace(b"note 1", b"n#te 1"))
    status, output = run(source, tmp_path / "out.mcap", "--copy", "/notes")
    assert status == 0, output
    assert "1 chunk is damaged" in output
    assert [m.frame_id for _, m in read(tmp_path / "out.mcap", "/notes")] == ["note 0", "note 2"]
    assert len(read(tmp_path / "out.mcap", MASKS)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.mcap", "OUT"], "recording nothing.mcap does not exist"),
        (["IN", "IN"], "OUT is the recording itself"),
        (["IN", "out.bag"], "expected a name that ends in .mcap"),
        (["IN", "nowhere/out.mcap"], "the folder of OUT does not exist"),
        (["IN", "OUT", "--image-topic", "/x"], "has no topic /x: it holds /camera/image_raw"),
        (["IN", "OUT", "--boxes", "a.json", "--detections-topic", "/x"], "a.json is none"),
        (["IN", "OUT", "--copy", "/x"], "has no such topic, expected all, none or some of"),
        (["IN", "OUT", "-p", "slop:=1"], "expected NAME:=VALUE with one of"),
        (["IN", "OUT", "-p", "max_objects:=x"], "parameter max_objects is 'x', expected a whole"),
        (["IN", "OUT", "-p", "target_frame:=base"], "has no topic of depth images"),
        (["IN", "OUT", "-p", "point_stride:=1"], "expected NAME:=VALUE with one of"),
        (["IN", "OUT", "--frames", "0"], "expected 1 or more"),
        (["IN", "OUT", "--slop", "nan"], "--slop is nan, expected seconds from 0 on"),
        (["IN", "OUT", "--slop", "-1"], "--slop is -1, expected seconds from 0 on"),
        (["IN", "OUT", "--model", "nothing"], "nothing"),
    ],
)
def test_wrong_input_is_one_line(tmp_path, capsys, arguments, message):
    source = write_mcap(tmp_path / "in.mcap", entries(1))
    names = {"IN": str(source), "OUT": str(tmp_path / "out.mcap")}
    assert main([names.get(text, text) for text in arguments]) in (1, 2)
    errors = capsys.readouterr().err.strip().splitlines()
    assert message in errors[-1]
    assert errors[-1].startswith("amodal_bag: ")
    assert not (tmp_path / "out.mcap").exists()


def test_a_robot_needs_no_more_than_the_readers():
    """What has no rosdep key, but for the two readers, is not imported."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['av', 'pycocotools'])); "
        "import amodal_ros.ros.bag.inputs, amodal_ros.ros.bag.offline, amodal_ros.ros.bag.run"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_a_planted_state_runs_nothing(tmp_path):
    class Planted:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    checkpoints = Checkpoints(tmp_path / "out.mcap", {"a": 1})
    checkpoints.begin()
    checkpoints.save(Progress(frames=1), b"")
    assert checkpoints.begin().frames == 1
    state = checkpoints.folder / "state.bin"
    state.write_bytes(pickle.dumps(Planted()))
    with pytest.raises(InvalidInputError, match="mkdir does not belong there"):
        checkpoints.begin()
    assert not (tmp_path / "made").exists()
    # What our modules import is not theirs, even where it is a type.
    state.write_bytes(b"camodal_ros.tracking.frames\nThreadPoolExecutor\n)R.")
    with pytest.raises(InvalidInputError, match=r"ThreadPoolExecutor is no type of that module"):
        checkpoints.begin()


def test_a_run_without_a_frame_binds_nobody(tmp_path):
    """As one whose model did not load: the next may have other arguments."""
    Checkpoints(tmp_path / "out.mcap", {"model": "wrong"}).begin()
    checkpoints = Checkpoints(tmp_path / "out.mcap", {"model": "right"})
    assert checkpoints.begin().frames == 0
    checkpoints.save(Progress(frames=1), b"")
    with pytest.raises(InvalidInputError, match=r'another run \(model "right", now "wrong"\)'):
        Checkpoints(tmp_path / "out.mcap", {"model": "wrong"}).begin()


def test_frames_that_cannot_be_read_count_for_the_limit(run, tmp_path):
    source = write_sqlite(tmp_path / "in.db3", entries(4))
    with sqlite3.connect(source) as database:
        database.execute("UPDATE messages SET data = substr(data, 1, 40) WHERE id = 3")
    code, output = run(source, tmp_path / "out.mcap", "--frames", "2")
    assert code == 0, output
    assert "1 of 2 frames answered, 1 masks; 1 images cannot be read" in output
    assert len(read(tmp_path / "out.mcap", MASKS)) == 1
