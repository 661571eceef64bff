# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from amodal_ros.errors import InvalidInputError
from training.evaluation.as_hard import main, reweighted
from training.evaluation.scores import VISIBLE_HULL

HULL_OF = {"mug": (70.0, 10.0), "box": (90.0, 40.0), "pan": (75.0, 30.0)}
MODEL_OF = {"mug": (80.0, 50.0), "box": (95.0, 70.0), "pan": (90.0, 60.0)}


def records(counts: dict[str, int]) -> list[dict[str, Any]]:
    """Every second object of a category is partly hidden."""
    return [
        {
            "category": category,
            "iou_full": MODEL_OF[category][0],
            "iou_occ": MODEL_OF[category][1] if number % 2 == 0 else None,
            "baselines": {
                VISIBLE_HULL: {
                    "iou_full": HULL_OF[category][0],
                    "iou_occ": HULL_OF[category][1] if number % 2 == 0 else None,
                }
            },
        }
        for category, count in counts.items()
        for number in range(count)
    ]


def test_figures_are_those_of_the_mixture_that_the_hull_asks_for() -> None:
    counts = {"mug": 4, "box": 8, "pan": 2}
    result = reweighted(records(counts), (77.0, 24.0))
    assert result.after[VISIBLE_HULL] == pytest.approx((77.0, 24.0), abs=0.01)
    # By hand: three shares of sum 1 for which 70 m + 90 b + 75 p = 77, 10 m + 40 b + 30 p = 24.
    shares = {"mug": 0.44, "box": 0.28, "pan": 0.28}
    for column in range(2):
        expected = sum(share * MODEL_OF[name][column] for name, share in shares.items())
        assert result.after["model"][column] == pytest.approx(expected, abs=0.02)
    for name, share in shares.items():
        assert result.weights[name] * counts[name] / 14 == pytest.approx(share, abs=1e-3)


def test_what_is_asked_for_as_measured_changes_nothing() -> None:
    mixed = records({"mug": 2, "box": 2, "pan": 2})
    before = reweighted(mixed, (78.0, 25.0)).before[VISIBLE_HULL]
    result = reweighted(mixed, before)
    assert result.after["model"] == pytest.approx(result.before["model"])
    assert set(result.weights.values()) == {1.0}


def test_what_no_mixture_has_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no weights of the 3 categories lead there"):
        reweighted(records({"mug": 2, "box": 2, "pan": 2}), (60.0, 5.0))
    with pytest.raises(InvalidInputError, match="partly hidden objects, got none"):
        reweighted([], (80.0, 25.0))


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "instances.jsonl"
    path.write_text("\n".join(map(json.dumps, records({"mug": 2, "box": 2, "pan": 2}))))
    assert main([str(path), "--hull", "77", "24"]) == 0
    out = capsys.readouterr().out
    assert f"| {VISIBLE_HULL} | 78.33 / 26.67 | 77.00 / 24.00 |" in out
    assert "| model | 88.33 / 60.00 |" in out


def test_what_cannot_be_read_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "nothing.jsonl"
    assert main([str(path), "--hull", "77", "24"]) == 1
    assert str(path) in caplog.text
