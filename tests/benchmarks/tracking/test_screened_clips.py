# SPDX-License-Identifier: Apache-2.0
"""Screened clips on objects made here."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from benchmarks.tabletop import catalog
from benchmarks.tabletop.catalog import TabletopObject, Wheel
from benchmarks.tabletop.generate import Plan, generate
from benchmarks.tabletop.screened import main
from tests.benchmarks.test_tabletop import NAMES, write_wheel
from training.datasets import AmodalCocoDataset


@pytest.mark.slow
@pytest.mark.rendering
def test_something_is_fully_hidden_while_the_screen_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(write_wheel(tmp_path / "cache").read_bytes()).hexdigest()
    objects = tuple(TabletopObject(name, f"toys/{name}/{name}.xml") for name in NAMES)
    monkeypatch.setitem(catalog.OBJECT_SETS, "household", objects)
    monkeypatch.setitem(catalog.OBJECT_WHEELS, "household", (Wheel("toys", "1.0", digest),))
    frames = 18  # lead and slide take at most 13
    plan = Plan(
        out=tmp_path / "out",
        stills=0,
        clips=1,
        frames=frames,
        seed=3,
        workers=1,
        cache=tmp_path / "cache",
        screened=True,
    )
    (file,) = generate(plan).files
    visible: dict[int, dict[int, int]] = {}
    for sample in AmodalCocoDataset(file.parent, file):
        area = np.count_nonzero(sample.visible_mask)
        visible.setdefault(int(sample.track_id), {})[int(sample.frame)] = area
    assert len(list((tmp_path / "out" / "images").iterdir())) == frames
    hidden = [
        areas for areas in visible.values() if areas.get(0, 0) > 0 and areas.get(frames - 1) == 0
    ]
    assert hidden


def test_counts_that_make_no_sense_and_full_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="clips 0, frames 42"):
        Plan(out=tmp_path / "out", stills=0, clips=0, frames=42, screened=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert main(["--out", str(tmp_path / "full"), "--cache", str(tmp_path)]) == 1
