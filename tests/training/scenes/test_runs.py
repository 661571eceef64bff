# SPDX-License-Identifier: Apache-2.0
"""Whole runs: what is written can be read, is true, and comes out the same again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.scenes.scene_models import write_catalogue
from training.datasets import open_dataset
from training.scenes.__main__ import main
from training.scenes.generate import summarise


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalogue(tmp_path_factory.mktemp("models"))


def command(models: Path, out: Path, **options: object) -> list[str]:
    options = {"count": 2, "seed": 5, "views": 2, "chunk-scenes": 1} | {
        name.replace("_", "-"): value for name, value in options.items()
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return ["--models", str(models), "--out", str(out), *flags]


@pytest.fixture(scope="module")
def made(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "scenes"
    assert main(command(models, out)) == 0
    return out


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(folder.glob("chunk_*/**/*"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in found if p.is_file()}


@pytest.mark.rendering
def test_the_reader_reads_every_chunk(made: Path) -> None:
    # Imports mujoco, which does not load where OpenGL is missing.
    from training.scenes.scene import MIN_HIDDEN_PX, MIN_VISIBLE_PX, MIN_VISIBLE_SHARE

    objects = 0
    for number in range(2):
        chunk = made / f"chunk_{number:05d}"
        dataset = open_dataset("amodal_coco", chunk, chunk / "annotations.json")
        objects += len(dataset)
        for index in range(len(dataset)):
            sample = dataset[index]
            amodal, visible = sample.amodal_mask, sample.visible_mask
            assert sample.image.load().shape == (480, 640, 3)
            assert (visible <= amodal).all()
            assert visible.sum() >= max(MIN_VISIBLE_PX, MIN_VISIBLE_SHARE * amodal.sum())
            hidden = np.count_nonzero(amodal & ~visible)
            assert hidden == 0 or hidden >= MIN_HIDDEN_PX
    assert objects >= 8
    summary = summarise(sorted(made.glob("chunk_*/annotations.json")))
    assert (summary.pictures, summary.objects) == (4, objects)
    assert sum(summary.histogram.values()) == objects
    assert summary.histogram["0"] not in (0, objects)


@pytest.mark.rendering
def test_visible_masks_of_a_picture_do_not_overlap(made: Path) -> None:
    chunk = made / "chunk_00000"
    dataset = open_dataset("amodal_coco", chunk, chunk / "annotations.json")
    total: dict[object, np.ndarray] = {}
    for index in range(len(dataset)):
        sample = dataset[index]
        total[sample.image_id] = total.get(sample.image_id, 0) + sample.visible_mask.astype(int)
    assert all(count.max() == 1 for count in total.values())


@pytest.mark.rendering
def test_credits(made: Path) -> None:
    credited = {}
    for file in made.glob("chunk_*/annotations.json"):
        content = json.loads(file.read_text())
        credited |= content["info"]["models"]
        names = {category["name"] for category in content["categories"]}
        assert {name for name in names if "#" in name} == set(content["info"]["models"])
    for name, credit in credited.items():
        assert credit["licence"] == "CC0-1.0"
        assert credit["creator"] == "Somebody"
        assert credit["file"] == "test.sh3f"
        assert name == "Test#" + credit["name"].removeprefix("The ")


@pytest.mark.rendering
def test_the_sheet_shows_the_pictures(made: Path) -> None:
    sheet = cv2.imread(str(made / "preview.png"))
    first = cv2.imread(str(made / "chunk_00000/images/train_000000_0.jpg"))
    small = cv2.resize(first, (320, 240), interpolation=cv2.INTER_AREA)
    assert (sheet[:240, :320] == small).all()
    assert (sheet[:240, 320:640] != small).any()


@pytest.mark.rendering
def test_workers_and_interruptions_change_nothing(
    models: Path, made: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scenes"
    shutil.copytree(made, out, ignore=shutil.ignore_patterns("cache"))
    before = files(made)
    shutil.rmtree(out / "chunk_00000")  # as if the run had been killed in its first chunk
    left = out / ".chunk_00000.123.tmp"
    left.mkdir()
    (left / "half.jpg").write_bytes(b"half")
    assert main(command(models, out, count=3, workers=2, preview=0)) == 0
    after = files(out)
    assert set(before) < set(after)
    assert all(after[name] == data for name, data in before.items())
    assert (out / "chunk_00002").is_dir()
    assert not left.exists()


def running() -> dict[int, int]:
    """The parent of each process that has not ended."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if fields[0] != "Z":
            found[int(path.parent.name)] = int(fields[1])
    return found


@pytest.mark.rendering
def test_a_killed_run_leaves_no_workers(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "scenes"
    process = subprocess.Popen(
        [sys.executable, "-m", "training.scenes", *command(models, out, count=200, workers=2)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[3],
    )
    deadline = time.monotonic() + 60
    while len(list(out.glob("chunk_*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = {pid for pid, parent in running().items() if parent == process.pid}
    assert len(workers) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while workers & running().keys() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not workers & running().keys()
    assert 2 <= len(list(out.glob("chunk_*"))) < 200


@pytest.mark.rendering
def test_what_is_refused(
    models: Path, made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for options, message in (
        ({"seed": 6}, "holds another run: seed differ"),
        ({"views": 3, "chunk_scenes": 2}, "holds another run: chunk_scenes, views differ"),
        ({"count": 0}, "count 0, workers 1: expected at least 1"),
        ({"seed": -1}, "seed -1, views 2"),
        ({"backgrounds": tmp_path}, "expected photos"),
        ({"backgrounds": tmp_path / "no"}, "expected a folder"),
        ({"environments": tmp_path}, "expected .npz files"),
    ):
        caplog.clear()
        assert main(command(models, made, **options)) == 1
        assert message in caplog.text
