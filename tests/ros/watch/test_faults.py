# SPDX-License-Identifier: Apache-2.0
"""Faults are always counted and seldom told."""

from __future__ import annotations

from pathlib import Path

from amodal_ros.ros.watch.faults import Fault, FaultLog


def test_first_at_once_then_one_line_a_period():
    now = [0.0]
    lines: list[str] = []
    log = FaultLog(lines.append, period_s=5.0, clock=lambda: now[0])
    for second in range(12):
        now[0] = float(second)
        log.report(Fault.BAD_IMAGE, f"bad at {second}")
    assert lines == [
        "bad at 0",
        "bad at 5 (4 more since the last warning)",
        "bad at 10 (4 more since the last warning)",
    ]
    assert log.counts()["dropped_bad_image"] == 12


def test_kinds_are_throttled_apart():
    lines: list[str] = []
    log = FaultLog(lines.append, clock=lambda: 0.0)
    log.report(Fault.BAD_IMAGE, "image")
    log.report(Fault.ENGINE, "engine", times=3)
    log.count(Fault.SUPERSEDED, 2)
    assert lines == ["image", "engine"]
    counts = log.counts()
    assert (counts["dropped_engine_error"], counts["dropped_superseded"]) == (3, 2)
    assert set(counts) == {fault.value for fault in Fault}


def test_the_documentation_has_every_counter():
    text = (Path(__file__).parents[3] / "docs" / "node.md").read_text()
    assert [fault.value for fault in Fault if f"| `{fault.value}` |" not in text] == []
