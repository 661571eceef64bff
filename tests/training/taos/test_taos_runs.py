# SPDX-License-Identifier: Apache-2.0
"""Runs: the same bytes for any workers, resumption, corrupt records, the command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from tests.training.taos.taos_drawings import digests
from training.taos.__main__ import main
from training.taos.config import TaosConfig
from training.taos.runner import TaosRun, prepare, run_taos
from training.taos.sampler import TaosDataset, TaosShards
from training.taos.shards import read_shard, shard_files
from training.taos.types import TaosSample
from training.untrusted import CorruptRecordError


def make_run(sources: list[str], out: Path, count: int = 12, **config: object) -> TaosRun:
    settings = TaosConfig(**{"seed": 5, "shard_size": 4, **config})
    return TaosRun(
        config=settings, sources=tuple(sources), count=count, out=out, cache=out.parent / "cache"
    )


@pytest.fixture
def sources(yolo_root: Path, cutouts_root: Path, sa1b_root: Path) -> list[str]:
    return [f"yolo:{yolo_root}", f"cutouts:{cutouts_root}", f"sa1b:{sa1b_root}"]


@pytest.mark.parametrize("frames", [1, 3])
def test_same_bytes_with_one_and_four_workers(
    sources: list[str], tmp_path: Path, frames: int
) -> None:
    one = run_taos(make_run(sources, tmp_path / "one", 16, frames=frames), workers=1)
    four = run_taos(make_run(sources, tmp_path / "four", 16, frames=frames), workers=4)
    assert one.written == four.written >= 14
    found = digests(tmp_path / "one")
    assert found == digests(tmp_path / "four")
    assert [name for name in found if name.endswith(".tar")] == [
        f"taos-{number:06d}.tar" for number in range(4)
    ]
    other = run_taos(make_run(sources, tmp_path / "other", 16, frames=frames, seed=6))
    assert other.written
    assert digests(tmp_path / "other") != found


def test_shards_hold_what_the_sampler_draws(sources: list[str], tmp_path: Path) -> None:
    run = make_run(sources, tmp_path / "out", image_format="png")
    statistics = run_taos(run)
    sampler = run.sampler()
    read = [sample for path in shard_files(run.out) for sample in read_shard(path)]
    assert len(read) == statistics.written
    for sample in read:
        drawn = sampler.draw(sample.provenance["index"]).result
        assert isinstance(drawn, TaosSample)
        for name in ("image", "original", "amodal", "visible", "occlusion", "occluder"):
            assert (getattr(sample, name) == getattr(drawn, name)).all()
        assert sample.provenance == json.loads(json.dumps(drawn.provenance))
    report = json.loads((run.out / "statistics.json").read_text())
    assert report["written"] == len(read)
    assert sum(report["occlusion_histogram"].values()) == len(read)
    assert sum(report["by_source"].values()) == len(read)
    assert set(report["by_source"]) <= set(run.sources)
    rates = [sample.occlusion_rate for sample in read]
    assert report["occlusion_histogram"]["0"] == sum(rate == 0 for rate in rates)


def test_the_webdataset_library_reads_them(sources: list[str], tmp_path: Path) -> None:
    import webdataset

    run = make_run(sources, tmp_path / "out")
    written = run_taos(run).written
    paths = [str(path) for path in shard_files(run.out)]
    samples = list(webdataset.WebDataset(paths, shardshuffle=False))
    assert len(samples) == written
    expected = {
        "image.jpg",
        "original.jpg",
        "amodal.png",
        "visible.png",
        "occlusion.png",
        "occluder.png",
        "json",
    }
    for sample in samples:
        assert expected <= set(sample)
        assert json.loads(sample["json"])["index"] == int(sample["__key__"])


def test_tar_members_carry_no_time_and_no_owner(sources: list[str], tmp_path: Path) -> None:
    run = make_run(sources, tmp_path / "out", 4)
    run_taos(run)
    with tarfile.open(run.out / "taos-000000.tar") as archive:
        for member in archive:
            assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_resumes(yolo_root: Path, tmp_path: Path, workers: int) -> None:
    options = ["--source", f"yolo:{yolo_root}", "--count", "120", "--seed", "9"]
    options += ["--shard-size", "8", "--preview", "0"]
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "training.taos", *options, "--out", str(killed),
         "--workers", str(workers)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[3],
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(list(killed.glob("taos-*.tar"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.3)  # workers notice that their parent is gone
    done = {path.name: path.stat().st_mtime_ns for path in killed.glob("taos-*.tar")}
    assert 3 <= len(done) < 15
    (killed / ".taos-000014.host-1.tmp").write_bytes(b"left over")
    assert main([*options, "--out", str(killed)]) == 0
    for name, stamp in done.items():
        assert (killed / name).stat().st_mtime_ns == stamp  # not made a second time
    assert main([*options, "--out", str(tmp_path / "whole")]) == 0
    assert digests(killed) == digests(tmp_path / "whole")
    assert not list(killed.glob(".*.tmp"))
    indices = [s.provenance["index"] for s in TaosShards(killed)]
    assert len(indices) == len(set(indices))


def test_a_cut_shard_is_made_again(sources: list[str], tmp_path: Path) -> None:
    run = make_run(sources, tmp_path / "out")
    run_taos(run)
    before = digests(run.out)
    shard = run.out / "taos-000001.tar"
    shard.write_bytes(shard.read_bytes()[:1000])
    run_taos(run)
    assert digests(run.out) == before


def test_another_run_in_the_same_folder_is_refused(sources: list[str], tmp_path: Path) -> None:
    run_taos(make_run(sources, tmp_path / "out", 4))
    with pytest.raises(InvalidInputError, match=r"config\.seed \(5 there, 6 now\)"):
        run_taos(make_run(sources, tmp_path / "out", 4, seed=6))
    with pytest.raises(InvalidInputError, match="count"):
        run_taos(make_run(sources, tmp_path / "out", 8))
    with pytest.raises(InvalidInputError, match="workers"):
        run_taos(make_run(sources, tmp_path / "new", 4), workers=0)


def test_a_refused_run_does_not_keep_the_folder(sources: list[str], tmp_path: Path) -> None:
    """The corrected command is no other run: nothing of the first one is there."""
    out = tmp_path / "out"
    with pytest.raises(InvalidInputError):
        run_taos(make_run(["yolo:/nowhere"], out, 4))
    assert not out.exists()
    prepare(make_run(sources, out, 4, seed=6))  # and then its first record was corrupt
    assert (out / "manifest.json").exists()
    assert run_taos(make_run(sources, out, 4)).written == 4
    with pytest.raises(InvalidInputError, match="another run"):
        run_taos(make_run(sources, out, 4, seed=6))


def test_annotations_that_are_left_out_are_counted(coco_root: Path, tmp_path: Path) -> None:
    content = json.loads((coco_root / "instances.json").read_text())
    content["annotations"][1]["segmentation"] = [[1, 2, 30, 40]]
    file = tmp_path / "some.json"
    file.write_text(json.dumps(content))
    spec = f"coco:{file}@{coco_root}/images"
    run_taos(make_run([spec], tmp_path / "out", 2))
    report = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert report["annotations_left_out"] == {spec: 1}


@pytest.mark.parametrize("workers", [1, 2])
def test_corrupt_records_stop_or_are_listed(
    yolo_root: Path, tmp_path: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(yolo_root, root)
    (root / "images/train/001.jpg").write_bytes(b"broken")
    (root / "labels/train/004.txt").write_text("0 0.1 oops\n")
    options = ["--source", f"yolo:{root}", "--count", "16", "--shard-size", "8",
               "--workers", str(workers)]  # fmt: skip
    assert main([*options, "--out", str(tmp_path / "stop")]) == 2
    assert main([*options, "--out", str(tmp_path / "skip"), "--skip-bad"]) == 0
    report = json.loads((tmp_path / "skip/statistics.json").read_text())
    assert report["written"] == 16
    assert report["rejects"]["bad_record"] >= 2
    assert report["bad_record_count"] == 2
    first, second = sorted(report["bad_records"])
    assert "001.jpg, record train/001.jpg: expected a JPEG" in first
    assert "004.txt, record line 1: expected numbers" in second
    assert "corrupt records skipped: 2" in capsys.readouterr().out


def test_the_error_names_file_and_record(yolo_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(yolo_root, root)
    for number in range(6):
        (root / f"images/train/{number:03d}.jpg").write_bytes(b"broken")
    run = make_run([f"yolo:{root}"], tmp_path / "out", 8)
    for workers in (1, 2):
        with pytest.raises(CorruptRecordError, match=r"images/train/00\d\.jpg, record train/00"):
            run_taos(run, workers=workers)


def test_the_command(yolo_root: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    options = ["--source", f"yolo:{yolo_root}", "--count", "10", "--seed", "2", "--out", str(out)]
    assert main(options) == 0
    assert "written 10 of 10" in capsys.readouterr().out
    sheet = cv2.imread(str(out / "preview.png"))
    assert sheet is not None
    assert sheet.shape[1] == 8 * (2 * 224 + 6)
    assert sheet.shape[0] == 2 * (168 + 6)
    assert json.loads((out / "timing.json").read_text())["pictures_made"] == 10
    assert main(options) == 0  # nothing left to do
    assert json.loads((out / "timing.json").read_text())["pictures_made"] == 0


def test_the_command_refuses_what_it_cannot_do(yolo_root: Path, tmp_path: Path) -> None:
    base = ["--count", "4", "--out", str(tmp_path / "out")]
    good = ["--source", f"yolo:{yolo_root}", *base]
    assert main(["--source", "what:ever", *base]) == 2
    assert main([*good, "--blur-size", "4"]) == 2
    assert main([*good, "--weight", "1", "--weight", "2"]) == 2
    assert main([*good, "--judge-url", "http://x/v1"]) == 2  # no model name
    impossible = [*good[:-1], str(tmp_path / "none"), "--target-area", "0.399", "0.4"]
    assert main([*impossible, "--max-attempts", "3"]) == 3


def test_help_is_instant_and_torch_is_never_imported(yolo_root: Path) -> None:
    code = (
        "import sys, training.taos, training.taos.sampler, training.taos.shards\n"
        "import training.taos.sources.render, training.taos.sources.photos\n"
        "sys.exit(any(name.split('.')[0] in ('torch', 'ray', 'mujoco', 'webdataset')"
        " for name in sys.modules))"
    )
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "training.taos", "--help"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "KIND:PATH" in done.stdout
    assert "cv2.cv2" not in done.stderr or "torch" not in done.stderr


def test_dataset_on_the_fly(sources: list[str], tmp_path: Path) -> None:
    config = TaosConfig(seed=5, shard_size=4)
    dataset = TaosDataset(config, sources, 12, cache=tmp_path)
    assert len(dataset) == 12
    run = make_run(sources, tmp_path / "out")
    drawn = run.sampler().draw(7).result
    assert isinstance(drawn, TaosSample)
    assert (dataset[7].image == drawn.image).all()
    assert np.array_equal(dataset[3].amodal, dataset[3].amodal)
    for index in (-1, 12):
        with pytest.raises(IndexError, match="0 <= index < 12"):
            dataset[index]
    hopeless = TaosConfig(target_area=(0.399, 0.4), max_attempts=2)
    with pytest.raises(InvalidInputError, match="no composite passes"):
        TaosDataset(hopeless, sources[:1], 4, cache=tmp_path)[0]


def test_samples_of_the_shards_by_number(sources: list[str], tmp_path: Path) -> None:
    run = make_run(sources, tmp_path / "out")
    run_taos(run)
    shards = TaosShards(run.out)
    whole = [s.provenance["index"] for s in shards]
    assert len(shards) == len(whole)
    assert whole == sorted(whole)
    assert shards[3].provenance["index"] == whole[3]
    with pytest.raises(InvalidInputError, match=r"taos-\*\.tar"):
        TaosShards(tmp_path)


def test_a_damaged_shard_is_named(sources: list[str], tmp_path: Path) -> None:
    run = make_run(sources, tmp_path / "out", 4)
    run_taos(run)
    shard = run.out / "taos-000000.tar"
    data = bytearray(shard.read_bytes())
    data[700:3000] = bytes(2300)
    shard.write_bytes(bytes(data))
    with pytest.raises(CorruptRecordError, match=r"taos-000000\.tar, record 00000000"):
        list(read_shard(shard))
