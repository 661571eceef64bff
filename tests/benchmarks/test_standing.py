# SPDX-License-Identifier: Apache-2.0
"""Objects whose collision shapes end above the lowest point of what is seen of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.standing_probe import DEPTH_M

pytestmark = pytest.mark.rendering


@pytest.fixture(scope="module")
def cubes(tmp_path_factory: pytest.TempPathFactory, repository_root: Path) -> dict[str, Any]:
    """What the probe found; by name of the cube."""
    folder = tmp_path_factory.mktemp("standing")
    command = [sys.executable, "-m", "tests.benchmarks.standing_probe", str(folder)]
    run = subprocess.run(
        command, cwd=repository_root, check=True, timeout=300, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def test_objects_are_lifted_by_what_they_sink_and_put_back(cubes):
    expected = {"sunk0": DEPTH_M, "sunk1": DEPTH_M, "exact": 0.0}
    assert cubes["depths"] == pytest.approx(expected, abs=2e-4)
    assert max(cubes["lifted"].values()) < 1e-9
    assert cubes["moves"] == pytest.approx(sorted({0.0, *cubes["depths"].values()}), abs=1e-8)
    assert cubes["is_put_back"]


def test_what_stands_on_another_is_lifted_with_it(cubes):
    assert cubes["carried"]["exact"] == cubes["carried"]["sunk0"] > 0


def test_what_has_fallen_off_the_table_is_left_where_it_is(cubes):
    assert set(cubes["fallen"].values()) == {0.0}


def test_the_table_hides_nothing_of_what_stands_on_it(cubes):
    assert min(cubes["seen"].values()) > 200
    assert max(cubes["hidden_by_the_table"].values()) <= 2
