# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal_ros.image.rle import encode_rle
from training.evaluation.hidden_errors import main, without_errors

HW = (40, 60)


def filled(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[y0:y1, x0:x1] = True
    return mask


AMODAL, VISIBLE = filled(10, 10, 30, 20), filled(10, 10, 20, 20)


def test_what_each_error_costs() -> None:
    # 80 of 100 hidden pixels; 20 beside them, 1 px below; 16 far away.
    predicted = VISIBLE | filled(20, 10, 28, 20) | filled(10, 20, 30, 21) | filled(40, 30, 44, 34)
    found = without_errors(predicted, AMODAL, VISIBLE)
    assert found["as it is"] == pytest.approx(80 / 136)
    assert found["pieces that touch nothing hidden"] == pytest.approx(80 / 120)
    assert found["what lies within 1 px outside the true outline"] == pytest.approx(80 / 116)
    assert found["all that is wrong"] == pytest.approx(80 / 100)


def record(predicted: np.ndarray, amodal: np.ndarray, visible: np.ndarray) -> dict[str, Any]:
    masks = {"prediction": predicted, "amodal": amodal, "visible": visible}
    return {name: encode_rle(mask) for name, mask in masks.items()}


def test_both_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        record(AMODAL, AMODAL, VISIBLE),  # half is hidden
        record(VISIBLE, AMODAL, VISIBLE),
        record(AMODAL, AMODAL, filled(10, 10, 27, 20)),  # 15 %
        record(filled(0, 0, 9, 9), VISIBLE, VISIBLE),  # whole: does not count
    ]
    path = tmp_path / "instances.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    assert main([str(path)]) == 0
    out = capsys.readouterr().out
    assert "| 10 to 20 % | 1 | 100.0 |" in out
    assert "| 40 to 60 % | 2 | 50.0 |" in out
    assert "| 0 to 1 % | 0 | – |" in out
    assert "| as it is | 66.67 |" in out


def test_what_cannot_be_read_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "instances.jsonl"
    assert main([str(path)]) == 1
    assert "instances.jsonl: [Errno 2]" in caplog.text
    path.write_text(json.dumps(record(VISIBLE, VISIBLE, VISIBLE)))
    assert main([str(path)]) == 1
    assert "expected records of partly hidden objects, got none" in caplog.text
