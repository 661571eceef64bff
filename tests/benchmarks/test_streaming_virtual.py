# SPDX-License-Identifier: Apache-2.0
"""Streaming on virtual time: what takes how long is told, whatever the machine does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.streaming.__main__ import main
from benchmarks.streaming.clip import Mosaic
from benchmarks.streaming.players import Players
from benchmarks.streaming.scores import Score, score
from benchmarks.streaming.virtual import (
    TrueModel,
    VirtualBase,
    VirtualContestant,
    VirtualNode,
    play_virtually,
)
from tests.benchmarks.test_streaming import BoxMasks

OBJECT_S = 0.2
CELLS = ["--virtual", "0.05", "--truth", "--rates", "10", "--contestants", "budget"]
CELLS += ["--objects", "1", "2"]


@pytest.fixture(scope="module")
def mosaic() -> Mosaic:
    return Mosaic(2)


def node(
    mosaic: Mosaic, object_s: float, budget_s: float, own_s: float = 0.0, most: int = 9
) -> VirtualNode:
    return VirtualNode(mosaic, TrueModel(mosaic), object_s, 0.0, own_s, budget_s, most)


def played(mosaic: Mosaic, contestant: VirtualContestant) -> tuple[list[float], Score]:
    """When answers came while a second was played at 10 Hz, and what they were worth."""
    found = play_virtually(mosaic, contestant, 10.0, 1.0)
    return [one.arrival_s for one in found.answers], score(found.frames, found.answers, mosaic)


def test_true_masks_that_take_no_time_are_right(mosaic: Mosaic) -> None:
    came_s, found = played(mosaic, node(mosaic, 0.0, 0.0))
    assert len(came_s) == 10
    assert (found.miou_full, found.visible_iou) == (100.0, 100.0)


def test_without_a_budget_the_newest_frame_waits_for_all_objects(mosaic: Mosaic) -> None:
    came_s, found = played(mosaic, node(mosaic, OBJECT_S, 0.0, own_s=0.05))
    steps = np.diff(came_s)
    assert steps == pytest.approx([0.45] * len(steps))
    assert len(came_s) in (2, 3)
    assert found.miou_full is not None
    assert found.miou_full < 95


def test_with_a_budget_each_frame_is_answered_in_time(mosaic: Mosaic) -> None:
    came_s, found = played(mosaic, node(mosaic, OBJECT_S, 0.1, own_s=0.02))
    times = np.arange(10) / 10
    assert (came_s - times >= 0.02 - 1e-9).all()
    assert (came_s - times <= 0.1).all()
    assert played(mosaic, node(mosaic, OBJECT_S, 0.1, own_s=0.02)) == (came_s, found)
    without = played(mosaic, node(mosaic, OBJECT_S, 0.0, own_s=0.02))[1]
    assert found.miou_full > without.miou_full


def test_masks_ahead_are_nearer_to_the_next_frame(mosaic: Mosaic) -> None:
    """True masks that take no time: what is lost is the frame by which they are late."""
    scores = []
    for ahead_s in (0.0, 0.1):
        contestant = VirtualNode(
            mosaic, TrueModel(mosaic), 0.0, 0.0, 0.05, 0.1, 9, ahead_s=ahead_s
        )
        scores.append(played(mosaic, contestant)[1])
    assert scores[1].miou_full > scores[0].miou_full + 1


def test_fewer_objects_take_less_time(mosaic: Mosaic) -> None:
    came_s, found = played(mosaic, node(mosaic, OBJECT_S, 0.0, most=1))
    assert np.diff(came_s) == pytest.approx([OBJECT_S] * (len(came_s) - 1))
    assert found.miou_full is not None
    assert found.miou_full < 55  # of two objects one is never asked for


def test_the_base_model_takes_an_image_and_each_box(mosaic: Mosaic) -> None:
    came_s, found = played(mosaic, VirtualBase(mosaic, BoxMasks(), 0.25, 0.05))
    assert np.diff(came_s) == pytest.approx([0.35] * (len(came_s) - 1), abs=0.051)
    assert 0 < found.visible_iou < 90


def test_command_writes_result_picture_and_table(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    name = "streaming truth"
    document.write_text(f"before\n\n<!-- generated {name} -->\n\n<!-- end {name} -->\n\nafter\n")
    out = tmp_path / "streaming.json"
    options = ["--virtual", "0.05", "--truth", "--objects", "2", "--rates", "10"]
    options += ["--virtual-small", "0.03"]
    contestants = ["--contestants", "budget", "no budget"]
    more = ["--seconds", "0.5", "--out", str(out), "--document", str(document)]
    assert main([*options, *contestants, *more]) == 0
    result = json.loads(out.read_text())
    assert result["settings"]["virtual"]["object_s"] == 0.05
    assert [row["contestant"] for row in result["results"]["rows"]] == ["budget", "no budget"]
    assert out.with_suffix(".png").stat().st_size > 1000
    text = document.read_text()
    assert "| budget | 2 | 10 |" in text
    assert "0.05 an object" in text
    assert text.startswith("before")
    assert text.endswith("after\n")


def play(out: Path, *more: str, objects: str = "2") -> int:
    return main([*CELLS, "--objects", objects, "--out", str(out), *more])


def test_a_table_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, played = tmp_path / "streaming.json", []
    real = Players.player

    def counted(self: Players, name: str, mosaic: Mosaic):
        played.append((name, len(mosaic.truths(0))))
        return real(self, name, mosaic)

    monkeypatch.setattr(Players, "player", counted)
    assert play(out, "--seconds", "0.3", objects="2") == 0
    first = json.loads(out.read_text())["results"]["rows"]
    assert main([*CELLS, "--seconds", "0.3", "--out", str(out), "--resume"]) == 0
    rows = json.loads(out.read_text())["results"]["rows"]
    assert played == [("budget", 2), ("budget", 1)]
    assert [row["objects"] for row in rows] == [1, 2]
    assert rows[1:] == first
    assert play(out, "--seconds", "0.2", "--resume") == 2  # of other settings
    assert json.loads(out.read_text())["results"]["rows"] == rows
    assert play(out, "--seconds", "0.2") == 0  # anew
    assert len(json.loads(out.read_text())["results"]["rows"]) == 1


def test_table_and_picture_come_from_the_file(tmp_path: Path) -> None:
    out, document = tmp_path / "streaming.json", tmp_path / "performance.md"
    document.write_text("<!-- generated streaming truth -->\n<!-- end streaming truth -->\n")
    assert play(out, "--seconds", "0.3") == 0
    out.with_suffix(".png").unlink()
    before = out.read_text()
    assert play(out, "--render", "--document", str(document)) == 0
    other = tmp_path / "rates.md"
    other.write_text("<!-- generated rates -->\n<!-- end rates -->\n")
    assert play(out, "--render", "--document", str(other), "--block", "rates") == 0
    assert "| budget | 2 | 10 |" in other.read_text()
    assert out.read_text() == before
    assert "| budget | 2 | 10 |" in document.read_text()
    assert out.with_suffix(".png").is_file()
