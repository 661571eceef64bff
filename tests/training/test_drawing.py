# SPDX-License-Identifier: Apache-2.0
"""A machine on which MuJoCo cannot draw is told so in one line, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from amodal_ros.errors import BackendError
from benchmarks.tabletop.screened import main as screened
from training.worker_processes import check_drawing


@pytest.fixture(autouse=True)
def no_platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MuJoCo knows no such platform; what was found before must not be remembered."""
    monkeypatch.setenv("MUJOCO_GL", "no_such_platform")
    check_drawing.cache_clear()
    yield
    check_drawing.cache_clear()


def test_says_what_failed_and_what_to_install() -> None:
    with pytest.raises(BackendError, match=r"MUJOCO_GL=no_such_platform \(.+\).*libosmesa6"):
        check_drawing()


def test_a_benchmark_leaves_no_folder_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "clips"
    assert screened(["--clips", "1", "--out", str(out)]) == 1
    assert "cannot draw with MUJOCO_GL=no_such_platform" in caplog.text
    assert not out.exists()
