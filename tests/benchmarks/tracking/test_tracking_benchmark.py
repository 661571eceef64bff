# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from benchmarks.tracking.__main__ import main
from benchmarks.tracking.clips import find_clips
from benchmarks.tracking.detector import FaultyDetector, FoundBoxes
from benchmarks.tracking.scores import ClipScore
from benchmarks.tracking.segmenters import RememberingBackend, TruthLikeSegmenter
from benchmarks.tracking.summary import bootstrap_interval, results_markdown, summarise_clips
from benchmarks.tracking.variants import (
    BOX_SPEC,
    FEEDBACK,
    NO_FEEDBACK,
    PLAIN_IOU,
    PROPAGATION,
    VARIANTS,
    FrameAnswer,
    PlainIou,
)
from tests.benchmarks.tracking.clip_support import FRAMES, HIDDEN_FRAMES, write_clips

FLAWLESS = FaultyDetector(0.0, 0.0, 0, 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("clips") / "toys")


def sources(data: Path, stride: int = 1):
    return find_clips([data / "clips.json"], None, stride, 12.0)


def test_same_boxes_are_dropped_whatever_else_is_asked(data: Path) -> None:
    first, second = (
        [FaultyDetector(0, 0.3, 0, 1).look(frame).are_found(2) for frame in source.frames()]
        for source in (sources(data)[0], sources(data, 2)[0])
    )
    assert len(first) == FRAMES
    assert np.array_equal(first[::2], second)
    seen = np.array(first)[[k for k in range(FRAMES) if k not in HIDDEN_FRAMES]]
    assert 0.5 < seen.mean() < 0.9
    other = FaultyDetector(0, 0.3, 1, 1)
    frames = sources(data)[0].frames()
    assert not np.array_equal(first, [other.look(frame).are_found(2) for frame in frames])


def test_hidden_objects_are_not_detected(data: Path) -> None:
    for frame in sources(data)[1].frames():
        found = FLAWLESS.look(frame)
        assert found.are_found(2).tolist() == [True, frame.number not in HIDDEN_FRAMES]
        assert len(found.detections) == found.are_found(2).sum()


def test_file_without_clips_is_named(tmp_path: Path) -> None:
    from training.datasets import AmodalCocoWriter

    (tmp_path / "clips.json").write_text("")
    AmodalCocoWriter({}, ["cup"]).write(tmp_path / "clips.json")
    with pytest.raises(InvalidInputError, match=r"clips.json: expected clips with track_id"):
        find_clips([tmp_path / "clips.json"], None, 1, 12.0)


def score(data: Path, ids_after: int, mask_of_hidden: bool = True) -> dict:
    """Of answers that are right but for the hidden object's identity once it comes back."""
    result = ClipScore(1 / 12)
    for frame in sources(data)[0].frames():
        hidden = frame.number in HIDDEN_FRAMES
        second = 7 if frame.number < HIDDEN_FRAMES.stop else ids_after
        masks = np.array([one.amodal_mask for one in frame.objects])
        masks[1] &= mask_of_hidden or not hidden
        visible = np.array([one.visible_mask for one in frame.objects])
        rows = np.array([0, -1 if hidden else 1])
        answer = FrameAnswer(np.array([3, second]), rows, visible, masks)
        result.add(frame, FLAWLESS.look(frame), answer)
    return result.result()


def test_score_of_a_perfect_answer(data: Path) -> None:
    result = score(data, ids_after=7)
    assert (result["id_switches"], result["hidden_events"], result["survived"]) == (0, 1, 1)
    assert result["objects"] == 2
    everything, hidden = result["groups"]["all"], result["groups"]["hidden"]
    assert (everything["n"], everything["full"]) == (2 * FRAMES, 2 * FRAMES)
    assert (hidden["n"], hidden["n_occluded"], hidden["occluded"]) == (14, 14, 14)
    assert result["visible"] == {"n": 2 * FRAMES, "j": 2 * FRAMES, "f": 2 * FRAMES}
    assert (result["identities"], result["spare_per_frame"]) == (2, 0)


def test_score_of_a_lost_identity_and_a_lost_mask(data: Path) -> None:
    result = score(data, ids_after=8, mask_of_hidden=False)
    assert (result["id_switches"], result["hidden_events"], result["survived"]) == (1, 1, 0)
    assert result["groups"]["hidden"]["full"] == 0


def test_stolen_identity_moves_the_mask_to_the_thief(data: Path) -> None:
    result = ClipScore(1 / 12)
    frames = sources(data)[0].frames()
    masks = np.array([one.amodal_mask for one in frames[0].objects])
    both = FLAWLESS.look(frames[0])
    rows = (np.array([0, 1]), np.array([0]), np.array([-1]))
    result.add(frames[0], both, FrameAnswer(np.array([3, 7]), rows[0], masks, masks))
    first = FoundBoxes(both.detections.select([0]), np.array([0]))
    result.add(frames[1], first, FrameAnswer(np.array([7]), rows[1], masks[:1], masks[:1]))
    coasting, none = frames[HIDDEN_FRAMES.start], both.detections.select([])
    answer = FrameAnswer(np.array([7]), rows[2], masks[1:], masks[1:])
    result.add(coasting, FoundBoxes(none, np.zeros(0, np.int64)), answer)
    figures = result.result()
    assert figures["id_switches"] == 1
    assert figures["groups"]["hidden"]["full"] == 0


def test_truth_like_segmenter_shows_the_occluder_in_a_hidden_objects_place(data: Path) -> None:
    frame = sources(data)[0].frames()[0]
    ask = TruthLikeSegmenter(error=0.0).at(frame)
    boxes = FLAWLESS.look(frame).detections.boxes_xyxy
    prediction = ask(boxes, [None, None])
    assert np.array_equal(prediction.raw_amodal_masks, [s.amodal_mask for s in frame.objects])
    near = boxes[1:] + 3
    assert np.array_equal(ask(near, [None]).visible_masks[0], frame.objects[1].visible_mask)


def test_plain_iou_ends_a_track_that_is_missed_once(data: Path) -> None:
    frames = sources(data)[0].frames()
    tracker, segmenter = PlainIou(), TruthLikeSegmenter()
    ids = []
    for frame in (frames[0], frames[1], frames[HIDDEN_FRAMES.start], frames[-1]):
        found = FLAWLESS.look(frame).detections
        ids.append(tracker.answer(frame, found, segmenter.at(frame)).track_ids.tolist())
    assert ids == [[0, 1], [0, 1], [0], [0, 2]]


def test_box_as_m_spec_asks_the_same_boxes_without_a_mask(data: Path) -> None:
    frames = sources(data)[0].frames()[:2]
    for name, guided in ((FEEDBACK, True), (BOX_SPEC, False)):
        variant, segmenter = VARIANTS[name](), NotingSegmenter()
        for frame in frames:
            variant.answer(frame, FLAWLESS.look(frame).detections, segmenter.at(frame))
        assert segmenter.boxes[1].tolist() == [
            o.visible_box_xyxy.tolist() for o in frames[1].objects
        ]
        assert [prior is not None for prior in segmenter.priors[1]] == [guided, guided]


class NotingSegmenter(TruthLikeSegmenter):
    """Keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(error=0.0)
        self.boxes: list[np.ndarray] = []
        self.priors: list[list] = []

    def _segment(self, frame, boxes_xyxy, priors, tight=None):
        self.boxes.append(boxes_xyxy)
        self.priors.append(list(priors))
        return super()._segment(frame, boxes_xyxy, priors)


class CountingEngine:
    name = "counting"

    def __init__(self) -> None:
        self.calls = 0

    def run(self, graph, inputs):
        self.calls += 1
        return {"out": inputs["x"] + self.calls}

    def close(self) -> None:
        self.calls = -1


def test_engine_remembers_equal_inputs_until_the_next_frame() -> None:
    engine = CountingEngine()
    remembering = RememberingBackend(engine)
    x = np.zeros((2, 3), np.float32)
    first = remembering.run("prefix", {"x": x})
    assert remembering.run("prefix", {"x": x.copy()})["out"] is first["out"]
    remembering.run("suffix", {"x": x})
    remembering.run("prefix", {"x": x.reshape(3, 2)})
    remembering.run("prefix", {"x": x + 1})
    assert engine.calls == 4
    remembering.forget()
    remembering.run("prefix", {"x": x})
    assert engine.calls == 5


def test_bootstrap_interval_holds_the_mean_and_narrows() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(2, 1, 10), rng.normal(2, 1, 1000)
    low, high = bootstrap_interval(few, 0)
    assert low < few.mean() < high
    narrow = bootstrap_interval(many, 0)
    assert narrow[1] - narrow[0] < (high - low) / 5
    assert bootstrap_interval(np.full(5, 3.0), 0) == (3.0, 3.0)


def test_differences_that_no_variant_has_are_no_column() -> None:
    gain = {"objects": 3, "mean": 1.5, "low": -0.25, "high": 3.0}
    results = {
        "clips": 1,
        "frames": 2,
        "variants": {},
        "gains": {
            BOX_SPEC: {"all": {"j": gain, "miou_full": None, "miou_occ": None}},
            PROPAGATION: {"all": {"j": None, "miou_full": None, "miou_occ": gain}},
        },
    }
    settings = {"segmenter": "a model", "data": ["S"], "drop": 0.0, "seed": 0}
    text = results_markdown(
        {"settings": settings, "commit": "abc", "results": {"settings": {"given": results}}}
    )
    assert "| feedback minus | J, all | mIoU occ, all |" in text
    assert f"| {BOX_SPEC} | +1.50 [-0.25, +3.00], 3 | – |" in text
    assert f"| {PROPAGATION} | – | +1.50 [-0.25, +3.00], 3 |" in text


def test_whole_command_its_marks_and_resuming(
    data: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = tmp_path / "tracking.md"
    document.write_text(
        "before\n<!-- generated tracking truth -->\nold\n<!-- end tracking truth -->\nafter\n"
    )
    arguments = ["--data", str(data), "--truth-like", "--out", str(tmp_path / "out.json")]
    arguments += ["--workers", "1", "--drop", "0.1", "--document", str(document)]
    assert main(arguments) == 0
    content = json.loads((tmp_path / "out.json").read_text())
    results = content["results"]["settings"]["detected, errors 0"]
    assert results["clips"] == 2
    assert set(results["variants"]) == {FEEDBACK, BOX_SPEC, NO_FEEDBACK, PLAIN_IOU}
    feedback = results["variants"][FEEDBACK]
    assert (feedback["hidden_events"], feedback["survived"]) == (2, 2)
    assert feedback["id_switches"] == 0
    assert results["variants"][PLAIN_IOU]["survived"] == 0
    gain = results["gains"][NO_FEEDBACK]["all"]["miou_occ"]
    assert gain["low"] > 50  # hidden frames alone: all or nothing
    assert results["marks"]["survival"]["met"]
    assert not results["marks"]["feedback_beats_none"]["met"]  # fewer than ten objects
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| feedback |" in text
    assert "2 of 2" in text
    difference = (
        f"{gain['mean']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}], {gain['objects']}"
    )
    header, row = (
        next(line.split(" | ") for line in text.splitlines() if line.startswith(start))
        for start in ("| feedback minus |", f"| {NO_FEEDBACK} | +")
    )
    assert row[header.index("mIoU occ, all")] == difference

    with caplog.at_level(logging.INFO):
        assert main(arguments) == 0
    assert "2 of 2 clips were done before" in caplog.text
    again = json.loads((tmp_path / "out.json").read_text())
    assert again["results"] == content["results"]

    caplog.clear()
    monkeypatch.setattr("benchmarks.tracking.run.code_digest", lambda: "another tracker")
    with caplog.at_level(logging.INFO):
        assert main(arguments) == 0
    assert "were done before" not in caplog.text


def test_wrong_data_is_an_error_with_a_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ["--data", str(tmp_path / "none"), "--truth-like"]
    assert main([*arguments, "--out", str(tmp_path / "out.json")]) == 1
    assert "none" in caplog.text


def test_clips_without_hidden_parts_give_no_difference() -> None:
    sums = {"n": 3, "full": 2.0, "n_occluded": 0, "occluded": 0.0}
    groups = dict.fromkeys(("all", "with a box", "box dropped", "hidden"), sums)
    figures = {"groups": groups, "objects": 1, "detections": 3, "id_switches": 0}
    figures |= {"hidden_events": 0, "survived": 0, "identities": 1, "spare_per_frame": 0.0}
    figures |= {"visible": {"n": 3, "j": 1.5, "f": 3.0}}
    figures |= {"each_object": {"1": {"groups": groups, "visible": figures["visible"]}}}
    clip = {"frames": 3, "variants": {FEEDBACK: figures, NO_FEEDBACK: figures}}
    results = summarise_clips([clip])
    assert results["gains"][NO_FEEDBACK]["all"]["miou_occ"] is None
    assert results["variants"][FEEDBACK]["groups"]["all"]["miou_occ"] is None
    assert results["variants"][FEEDBACK]["j"] == 50
    gain = {"objects": 1, "mean": 0.0, "low": 0.0, "high": 0.0}
    assert results["gains"][NO_FEEDBACK]["all"]["j"] == gain
    assert not results["marks"]["survival"]["met"]
