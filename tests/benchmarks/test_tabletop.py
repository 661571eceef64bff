# SPDX-License-Identifier: Apache-2.0
"""The tabletop benchmark on objects made here; the real ones are fetched, never committed."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from amodal_ros.errors import InvalidInputError
from benchmarks.tabletop import assets, catalog, generate, slender
from benchmarks.tabletop.catalog import TabletopObject, Wheel
from benchmarks.tabletop.statistics import write_statistics
from training.datasets import open_dataset

NAMES = ("tall", "flat", "wedge", "ball")
SHAPES = {
    "tall": '<geom type="box" size="0.03 0.03 0.09" group="1" rgba="0.8 0.1 0.1 1"/>',
    "flat": '<geom type="box" size="0.07 0.05 0.015" group="1" rgba="0.1 0.6 0.2 1"/>',
    "wedge": '<geom type="mesh" mesh="wedge" rgba="0.2 0.3 0.8 1"/>',
    "ball": '<geom type="sphere" size="0.045" group="1" rgba="0.9 0.8 0.2 1"/>'
    '<geom type="sphere" size="0.045" rgba="1 0 1 1"/>',
}
MESH = (
    '<asset><mesh name="wedge" vertex="0 0 0 1 0 0 0 1 0 0 0 1" scale="0.15 0.15 0.15"/></asset>'
)


def png(size: tuple[int, int]) -> bytes:
    pixels = np.random.default_rng(0).integers(90, 160, (*size[::-1], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def write_wheel(cache: Path) -> Path:
    folder = cache / "wheels"
    folder.mkdir(parents=True)
    archive = folder / "toys-1.0-py3-none-any.whl"
    textures = (*catalog.TABLE_TEXTURES, *catalog.WALL_TEXTURES, *catalog.FLOOR_TEXTURES)
    with zipfile.ZipFile(archive, "w") as content:
        for name in NAMES:
            text = f"<mujoco>{MESH if name == 'wedge' else ''}<worldbody><body><body>"
            text += f"{SHAPES[name]}</body></body></worldbody></mujoco>"
            content.writestr(f"toys/{name}/{name}.xml", text)
        for texture in textures:
            content.writestr(texture, png((64, 64)))
        content.writestr("toys/tall/large.png", png((1500, 300)))
        content.writestr("elsewhere/secret.txt", "not wanted")
    return archive


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """With a wheel in the cache whose objects and textures stand for the real ones."""
    folder = tmp_path_factory.mktemp("tabletop")
    digest = hashlib.sha256(write_wheel(folder / "cache").read_bytes()).hexdigest()
    objects = tuple(
        TabletopObject(f"{name}_{copy}", f"toys/{name}/{name}.xml", scale=1.0 + 0.2 * copy)
        for name in NAMES
        for copy in range(3)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalog.OBJECT_SETS, "household", objects)
        patch.setitem(catalog.OBJECT_WHEELS, "household", (Wheel("toys", "1.0", digest),))
        yield generate.Plan(
            out=folder / "out",
            stills=2,
            clips=1,
            frames=3,
            seed=2,
            object_set="household",
            workers=2,
            cache=folder / "cache",
        )


@pytest.fixture(scope="module")
def summary(plan) -> generate.Summary:
    return generate.generate(plan)


@pytest.fixture(scope="module")
def datasets(plan, summary):
    return [open_dataset("amodal_coco", plan.out, file) for file in summary.files]


@pytest.mark.rendering
def test_masks_are_consistent(summary, datasets):
    assert [file.name for file in summary.files] == ["stills.json", "clips.json"]
    assert summary.images == 5
    for dataset in datasets:
        for sample in dataset:
            assert sample.image.hw == (480, 640)
            assert not (sample.visible_mask & ~sample.amodal_mask).any()
            assert not sample.amodal_mask[[0, -1]].any()
            assert not sample.amodal_mask[:, [0, -1]].any()
        for indices in dataset.images():
            seen = np.sum([dataset[k].visible_mask for k in indices], axis=0)
            assert seen.max() == 1, "a pixel shows one object"
        assert {sample.occlusion_rate > 0 for sample in dataset} == {True, False}


@pytest.mark.rendering
def test_clips_have_tracks_and_move(datasets):
    clips = datasets[1]
    frames = clips.images()
    assert [clips[indices[0]].frame for indices in frames] == [0, 1, 2]
    tracks = [{clips[k].track_id for k in indices} for indices in frames]
    assert tracks[0] & tracks[1] & tracks[2]
    first, last = (clips[i[0]].image.load().astype(int) for i in (frames[0], frames[2]))
    assert np.abs(first - last).mean() > 1


@pytest.mark.rendering
def test_colours_agree_with_masks(datasets):
    """Where the red box is said to be seen, the picture is red."""
    checked = 0
    for sample in (*datasets[0], *datasets[1]):
        if sample.category_name.startswith("tall") and sample.visible_mask.sum() > 300:
            red, green, blue = sample.image.load()[sample.visible_mask].mean(axis=0)
            assert red > 1.5 * max(green, blue)
            checked += 1
    assert checked


@pytest.mark.rendering
def test_a_shot_depends_on_seed_and_number_alone(plan, summary, tmp_path):
    """The second run has one worker and no clips, the third another seed."""
    alone = replace(plan, clips=0, workers=1, out=tmp_path / "alone")
    other = replace(plan, stills=1, clips=0, seed=9, workers=1, out=tmp_path / "other")
    for each in (alone, other):
        generate.generate(each)
    for name in ("images/still_00000.png", "images/still_00001.png"):
        assert (alone.out / name).read_bytes() == (plan.out / name).read_bytes()
    before, after = (
        json.loads((out / "stills.json").read_text())["annotations"]
        for out in (plan.out, alone.out)
    )
    assert before == after
    name = "images/still_00000.png"
    assert (other.out / name).read_bytes() != (plan.out / name).read_bytes()


@pytest.mark.rendering
def test_statistics_are_written(plan, summary, datasets):
    tables = write_statistics(summary.files)
    content = json.loads((plan.out / "statistics.json").read_text())
    assert [entry["instances"] for entry in content] == [len(dataset) for dataset in datasets]
    for entry in content:
        assert sum(entry["histogram"].values()) == entry["instances"]
        assert entry["c2f"]["true visible mask"]["miou_occ"] == 0
        seen = entry["visible_iou"]
        assert seen["true visible mask"]["all"] == 100
        assert 20 < seen["box fill"]["all"] < seen["convex hull of the true visible mask"]["all"]
    assert [table.row_count for table in tables] == [3, 3]


def test_only_what_is_needed_is_unpacked_and_large_textures_shrink(plan):
    folder = assets.prepare_assets("household", plan.cache)
    with Image.open(folder / "toys/tall/large.png") as image:
        assert image.size == (1024, 205)
    assert not (folder / "elsewhere").exists()


@pytest.mark.parametrize("name", sorted(slender.MAKERS))
def test_slender_objects_are_thin_and_lie_on_the_table(name):
    root = ElementTree.fromstring(slender.mjcf(name))
    points = []
    for geom in root.iter("geom"):
        numbers = [float(v) for key in ("fromto", "pos") for v in geom.get(key, "").split()]
        reach = max((float(v) for v in geom.get("size", "").split()), default=0.0)
        points += [(p, reach) for p in np.reshape(numbers, (-1, 3))]
    spread = np.ptp([point for point, _ in points], axis=0)
    assert 0.1 < spread.max() < 0.35
    assert spread.min() < 0.45 * spread.max()
    assert max(point[2] + reach for point, reach in points if reach < 0.02) < 0.1
    catalogued = {item.name: item for item in catalog.OBJECT_SETS["slender"]}
    assert catalogued[name].xml == slender.xml_path(name)


def test_slender_objects_are_written_beside_those_unpacked(plan, monkeypatch):
    monkeypatch.setitem(catalog.OBJECT_WHEELS, "slender", ())
    folder = assets.prepare_assets("slender", plan.cache)
    assert (folder / slender.xml_path("tongs")).read_text() == slender.mjcf("tongs")


@pytest.mark.rendering
def test_slender_objects_compile():
    import mujoco

    for name in slender.MAKERS:
        model = mujoco.MjModel.from_xml_string(slender.mjcf(name))
        assert 0.003 < model.body_subtreemass[1] < 0.6


def test_an_altered_wheel_is_refused(plan, tmp_path):
    wheel = write_wheel(tmp_path / "cache")
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(assets.AssetError, match=r"toys-1\.0.* has the sha256 .*, expected"):
        assets.prepare_assets("household", tmp_path / "cache")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stills": 0, "clips": 0}, "at least one still or clip"),
        ({"frames": 1}, "two frames"),
        ({"workers": 0}, "one worker"),
        ({"object_set": "toys"}, "unknown object set 'toys'; there are household, second"),
    ],
)
def test_senseless_plans_are_refused(plan, change, message):
    with pytest.raises(InvalidInputError, match=message):
        replace(plan, **change)


def test_a_folder_in_use_is_refused(plan, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InvalidInputError, match="is not empty"):
        generate.generate(replace(plan, out=tmp_path))


def test_the_object_sets_share_nothing():
    household = {item.xml for item in catalog.HOUSEHOLD}
    assert len(household) == 26
    assert not household & {item.xml for item in catalog.SECOND}
