# SPDX-License-Identifier: Apache-2.0
"""SA-1B's tars: read in place, never unpacked, in an order that streams."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.training.taos.taos_drawings import HW, add_member, draw_photo, sa1b_record
from training.taos.config import TaosConfig
from training.taos.sources import open_source
from training.taos.sources.sa1b import index_tar
from training.untrusted import CorruptRecordError


def open_sa1b(root: Path, config: TaosConfig):
    return open_source(f"sa1b:{root}", config, root)


def test_masks_are_exact(sa1b_root: Path, config: TaosConfig) -> None:
    source = open_sa1b(sa1b_root, config)
    for shard in range(2):
        for key in source.pool(shard):
            photo = source.photo(key, 640)
            number = int(photo.record.removeprefix("sa_"))
            image, masks = draw_photo(20 + number)
            assert np.abs(photo.read_rgb().astype(int) - image).mean() < 6
            assert photo.background_annotated
            for item, mask in zip(photo.objects, masks, strict=True):
                assert (item.rasterise(HW) == mask).all()
                assert item.area == mask.sum()


def test_masks_shrink_with_the_photo(sa1b_root: Path, config: TaosConfig) -> None:
    source = open_sa1b(sa1b_root, config)
    photo = source.photo(source.pool(0)[0], 120)
    masks = draw_photo(20 + int(photo.record.removeprefix("sa_")))[1]
    assert photo.hw == (90, 120)
    for item, mask in zip(photo.objects, masks, strict=True):
        small = item.rasterise(photo.hw)
        share = mask.astype(float).reshape(90, 2, 120, 2).mean(axis=(1, 3))
        assert small[share == 1].all()
        assert not small[share == 0].any()
        assert small.sum() == pytest.approx(mask.sum() / 4, rel=0.05)


def test_one_output_shard_reads_one_stretch_of_one_tar(tmp_path: Path) -> None:
    for shard in range(3):
        with tarfile.open(tmp_path / f"sa_{shard:06d}.tar", "w") as archive:
            for index in range(5):
                image, annotation = sa1b_record(10 * shard + index, 0)
                add_member(archive, f"./sa_{10 * shard + index}.jpg", image)
                add_member(archive, f"./sa_{10 * shard + index}.json", annotation)
    source = open_sa1b(tmp_path, TaosConfig(seed=3, shard_size=2))
    pools = [source.pool(k) for k in range(9)]
    for pool in pools:
        assert len({key[0] for key in pool}) == 1
        assert len(pool) == 2
    # Every tar is visited before any is visited again, and three rounds see every record.
    assert len({pool[0][0] for pool in pools[:3]}) == 3
    assert [pool[0][0] for pool in pools[:3]] == [pool[0][0] for pool in pools[3:6]]
    assert len({key for pool in pools for key in pool}) == 15
    assert pools[0] != open_sa1b(tmp_path, TaosConfig(seed=4, shard_size=2)).pool(0) or (
        pools[1] != open_sa1b(tmp_path, TaosConfig(seed=4, shard_size=2)).pool(1)
    )


def test_only_the_headers_are_read_to_index(sa1b_root: Path, monkeypatch) -> None:
    read = 0
    plain_open = io.open

    class Counting(io.FileIO):
        def read(self, size=-1):
            nonlocal read
            data = super().read(size)
            read += len(data)
            return data

    def counting_open(path, mode="r", *rest, **named):
        if str(path).endswith(".tar"):
            return Counting(path, "rb")
        return plain_open(path, mode, *rest, **named)

    monkeypatch.setattr(tarfile, "bltn_open", counting_open)
    path = sa1b_root / "sa_000000.tar"
    pairs = index_tar(path)
    assert len(pairs) == 4
    assert 0 < read < 0.3 * path.stat().st_size


def test_nothing_is_written_and_bad_names_do_no_harm(tmp_path: Path, config: TaosConfig) -> None:
    root = tmp_path / "in" / "deep"
    root.mkdir(parents=True)
    with tarfile.open(root / "sa_0.tar", "w") as archive:
        image, annotation = sa1b_record(1, 21)
        add_member(archive, "../../evil.jpg", image)
        add_member(archive, "../../evil.json", annotation)
        link = tarfile.TarInfo("sa_9.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        add_member(archive, "notes.txt", b"hello")
    before = sorted(tmp_path.rglob("*"))
    source = open_sa1b(root, config)
    assert len(source.pool(0)) == 1
    assert source.photo(source.pool(0)[0], 640).record == "evil"
    assert sorted(tmp_path.rglob("*")) == before


def test_missing_and_damaged_members_are_named(tmp_path: Path, config: TaosConfig) -> None:
    image, annotation = sa1b_record(1, 21)
    wrong = json.loads(annotation)
    wrong["image"]["height"] = 7
    with tarfile.open(tmp_path / "sa_0.tar", "w") as archive:
        add_member(archive, "sa_1.jpg", image)
        add_member(archive, "sa_2.json", annotation)
        add_member(archive, "sa_3.jpg", image)
        add_member(archive, "sa_3.json", b"{")
        add_member(archive, "sa_4.jpg", image)
        add_member(archive, "sa_4.json", json.dumps(wrong).encode())
    source = open_sa1b(tmp_path, config)
    expected = ["has no .json", "has no image", "expected JSON", "its image has (180, 240)"]
    for key, message in zip(source.pool(0), expected, strict=True):
        with pytest.raises(CorruptRecordError) as caught:
            source.photo(key, 640)
        assert message in str(caught.value)
        assert "sa_0.tar, record sa_" in str(caught.value)


def test_a_tar_that_ends_early(sa1b_root: Path, tmp_path: Path, config: TaosConfig) -> None:
    data = (sa1b_root / "sa_000000.tar").read_bytes()
    (tmp_path / "sa_000000.tar").write_bytes(data[: len(data) // 2])
    source = open_sa1b(tmp_path, config)
    good, problems = 0, []
    for key in source.pool(0):
        try:
            source.photo(key, 640).read_rgb()
            good += 1
        except CorruptRecordError as error:
            problems.append(str(error))
    assert good >= 1
    assert len(problems) >= 1
    assert all("sa_000000.tar" in problem for problem in problems)


def test_no_tar_at_all(tmp_path: Path, config: TaosConfig) -> None:
    (tmp_path / "sa_0.tar").write_bytes(b"garbage" * 1000)
    source = open_sa1b(tmp_path, config)
    with pytest.raises(CorruptRecordError, match=r"sa_0.tar.*uncompressed tar"):
        source.pool(0)


def test_loose_records(sa1b_root: Path, tmp_path: Path, config: TaosConfig) -> None:
    image, annotation = sa1b_record(3, 23)
    (tmp_path / "sa_3.jpg").write_bytes(image)
    (tmp_path / "sa_3.json").write_bytes(annotation)
    source = open_sa1b(tmp_path, config)
    photo = source.photo(source.pool(0)[0], 640)
    assert (photo.objects[1].rasterise(HW) == draw_photo(23)[1][1]).all()
