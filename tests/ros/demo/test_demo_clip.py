# SPDX-License-Identifier: Apache-2.0
"""The clip that ships with the package, and the script that renders it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from amodal_ros.ros.demo.sources import CLIP_ANNOTATIONS, CLIP_FOLDER, CLIP_VIDEO, open_source
from tests.machine import FURNITURE_FOLDER

LIMIT_BYTES = 2 * 10**6
LIBRARY = FURNITURE_FOLDER / "BlendSwap-CC-0.sh3f"


@pytest.fixture(scope="module")
def clip_record() -> dict:
    return json.loads(CLIP_ANNOTATIONS.read_text())


def check_annotations(data: dict, frames: int, hw: tuple[int, int]) -> None:
    """Every record against COCO's own code."""
    assert [image["frame"] for image in data["images"]] == list(range(frames))
    categories = {category["id"] for category in data["categories"]}
    images = {image["id"] for image in data["images"]}
    for image in data["images"]:
        assert (image["height"], image["width"], image["video_id"]) == (*hw, 1)
    for record in data["annotations"]:
        amodal = coco_mask.decode(record["segmentation"]).astype(bool)
        visible = coco_mask.decode(record["visible_mask"]).astype(bool)
        assert amodal.shape == visible.shape == hw
        assert not (visible & ~amodal).any()
        assert record["area"] == amodal.sum() > 0
        assert record["bbox"] == coco_mask.toBbox(record["segmentation"]).tolist()
        if visible.any():
            assert record["visible_bbox"] == coco_mask.toBbox(record["visible_mask"]).tolist()
        assert record["iscrowd"] == 0
        assert record["category_id"] in categories
        assert record["image_id"] in images
    pairs = [(record["image_id"], record["track_id"]) for record in data["annotations"]]
    assert len(set(pairs)) == len(pairs)


def test_the_annotations_are_consistent_and_fit_the_video(clip_record):
    source = open_source(str(CLIP_VIDEO))
    frames = sum(1 for _ in source.frames())
    assert frames == source.info.frame_count == 48
    check_annotations(clip_record, frames, source.info.image_hw)
    assert source.info.image_hw == (480, 640)


def test_clip_and_annotations_stay_small():
    assert sum(path.stat().st_size for path in CLIP_FOLDER.iterdir()) <= LIMIT_BYTES


def test_objects_are_seen_partly_hidden_and_fully_hidden(clip_record):
    rates = defaultdict(list)
    for record in clip_record["annotations"]:
        visible = int(coco_mask.area(record["visible_mask"]))
        rates[record["name"]].append(1 - visible / record["area"])
    assert len(rates) >= 4
    assert all(min(of_object) < 0.2 for of_object in rates.values()), "each can be seen"
    partly = [name for name, r in rates.items() if any(0.2 <= rate <= 0.8 for rate in r)]
    assert len(partly) >= 4
    assert any(rate == 1.0 for of_object in rates.values() for rate in of_object)


def test_every_model_of_the_clip_has_author_and_licence(clip_record):
    text = (CLIP_FOLDER / "PROVENANCE.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    names = {record["name"] for record in clip_record["annotations"]}
    assert {row.split("|")[1].strip() for row in rows} == names
    assert all("CC0" in row and row.split("|")[3].strip() for row in rows)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, repository_root: Path) -> Path:
    """A tiny rendering of the same stage."""
    out = tmp_path_factory.mktemp("clip")
    script = repository_root / "scripts" / "render_demo_clip.py"
    options = ["--library", str(LIBRARY), "--out", str(out)]
    options += ["--frames", "3", "--width", "160", "--samples", "2"]
    done = subprocess.run(
        [sys.executable, str(script), *options], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.rendering
@pytest.mark.furniture
def test_the_script_renders_the_clips_own_scene(rendered, clip_record):
    data = json.loads((rendered / "annotations.json").read_text())
    check_annotations(data, 3, (120, 160))
    ours = {record["name"]: record for record in data["annotations"] if record["image_id"] == 1}
    for record in clip_record["annotations"]:
        if record["image_id"] == 1:
            small = coco_mask.decode(ours[record["name"]]["segmentation"]).astype(bool)
            large = coco_mask.decode(record["segmentation"]).astype(bool)[2::4, 2::4]
            assert (small & large).sum() / (small | large).sum() > 0.85, record["name"]


@pytest.mark.rendering
@pytest.mark.furniture
def test_the_picture_shows_what_the_masks_say(rendered):
    """The orange ball is orange where its visible mask is, and nowhere is the picture black."""
    data = json.loads((rendered / "annotations.json").read_text())
    picture = next(iter(open_source(str(rendered / "clip.mp4")).frames())).astype(int)
    (ball,) = [r for r in data["annotations"] if r["name"] == "ball" and r["image_id"] == 1]
    seen = coco_mask.decode(ball["visible_mask"]).astype(bool)
    red, _, blue = np.median(picture[seen], axis=0)
    assert red > blue + 60
    assert picture.mean() > 60


def test_a_missing_model_library_is_one_line(tmp_path, repository_root):
    script = repository_root / "scripts" / "render_demo_clip.py"
    options = ["--library", str(tmp_path / "none.sh3f"), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, str(script), *options], capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "sweethome3d-furniture" in done.stderr
    assert not (tmp_path / "out").exists()


def test_missing_mujoco_is_one_line(tmp_path, repository_root):
    """A module of that name that cannot be imported stands in its way."""
    (tmp_path / "mujoco.py").write_text("raise ImportError('No module named mujoco')")
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(repository_root)!r}]\n"
        "from benchmarks.rendering.renderer import Lighting, SceneRenderer\n"
        "from amodal_ros.errors import BackendError\n"
        "try:\n    SceneRenderer([], [], (4, 4), 40.0, Lighting())\n"
        "except BackendError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install mujoco" in done.stdout
    assert "libosmesa6" in done.stdout
    assert len(done.stdout.strip().splitlines()) == 1
