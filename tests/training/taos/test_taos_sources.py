# SPDX-License-Identifier: Apache-2.0
"""Sources read official layouts, and say where a broken record lies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from tests.training.taos.taos_drawings import HW, draw_photo
from training.taos.config import TaosConfig
from training.taos.sources import open_source
from training.untrusted import CorruptRecordError, RejectedError


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_yolo_masks_and_pixels(yolo_root: Path, config: TaosConfig, tmp_path: Path) -> None:
    source = open_source(f"yolo:{yolo_root}", config, tmp_path)
    assert list(source.pool(0)) == [f"train/{i:03d}.jpg" for i in range(6)]
    photo = source.photo("train/002.jpg", 640)
    image, masks = draw_photo(2)
    assert photo.hw == photo.native_hw == HW
    assert np.abs(photo.read_rgb().astype(int) - image).mean() < 6  # JPEG
    assert [item.category for item in photo.objects] == ["0", "1", "2"]
    for item, mask in zip(photo.objects, masks, strict=True):
        assert iou(item.rasterise(HW), mask) > 0.97
        assert item.area == pytest.approx(mask.sum(), rel=0.06)
        assert item.box_xyxy[0] == pytest.approx(np.nonzero(mask.any(0))[0][0], abs=1.1)


def test_photos_are_shrunk_and_masks_with_them(
    yolo_root: Path, config: TaosConfig, tmp_path: Path
) -> None:
    photo = open_source(f"yolo:{yolo_root}", config, tmp_path).photo("train/000.jpg", 120)
    assert photo.hw == (90, 120)
    assert photo.read_rgb().shape == (90, 120, 3)
    mask = draw_photo(0)[1][0]
    small = cv2.resize(mask.astype(np.uint8) * 255, (120, 90), interpolation=cv2.INTER_AREA) > 127
    assert iou(photo.objects[0].rasterise(photo.hw), small) > 0.94


def test_coco_polygons_rle_and_crowds(coco_root: Path, config: TaosConfig, tmp_path: Path) -> None:
    spec = f"coco:{coco_root}/instances.json@{coco_root}/images"
    photo = open_source(spec, config, tmp_path).photo(1, 640)
    masks = draw_photo(11)[1]
    assert [item.category for item in photo.objects] == ["ball", "box", "egg"]  # no crowd
    assert (photo.objects[0].rasterise(HW) == masks[0]).all()  # RLE is exact
    for item, mask in zip(photo.objects, masks, strict=True):
        assert iou(item.rasterise(HW), mask) > 0.97
    assert photo.origin["record"] == "1.jpg"


@pytest.mark.parametrize(
    ("change", "record", "message"),
    [
        (lambda c: c["annotations"][1].update(segmentation=[[1] * 7]), "annotation 1", "x y ..."),
        (lambda c: c["annotations"][1].update(segmentation=[["x"] * 6]), "annotation 1", "x y"),
        (lambda c: c["annotations"][0]["segmentation"].update(size=[3, 3]), "annotation 0", "180"),
        (lambda c: c["annotations"][0]["segmentation"].update(counts=[5]), "annotation 0", "RLE"),
        (lambda c: c["images"][0].update(width=99), "image 0", "says (height, width) (180, 99)"),
        (lambda c: c["images"][0].update(file_name="../x.jpg"), "image 0", "leaves the images"),
        (lambda c: c["images"][0].update(file_name="gone.jpg"), "image 0", "cannot be read"),
    ],
)
def test_coco_names_the_broken_record(
    coco_root: Path, config: TaosConfig, tmp_path: Path, change, record: str, message: str
) -> None:
    content = json.loads((coco_root / "instances.json").read_text())
    change(content)
    file = tmp_path / "broken.json"
    file.write_text(json.dumps(content))
    source = open_source(f"coco:{file}@{coco_root}/images", config, tmp_path)
    with pytest.raises(CorruptRecordError) as caught:
        source.photo(0, 640)
    assert caught.value.record == record
    assert message in str(caught.value)
    assert "broken.json" in str(caught.value) or "gone.jpg" in str(caught.value)


@pytest.mark.parametrize(
    "segmentation", [[], None, [[]], [[1, 2, 30, 40]], [1, 2, 30, 40], "none", [[1, 2, 3]]]
)
def test_an_annotation_without_an_outline_is_left_out_alone(
    coco_root: Path, config: TaosConfig, tmp_path: Path, segmentation: object
) -> None:
    content = json.loads((coco_root / "instances.json").read_text())
    file = tmp_path / "some.json"
    file.write_text(json.dumps(content))
    whole = open_source(f"coco:{file}@{coco_root}/images", config, tmp_path)
    image = content["annotations"][1]["image_id"]
    before = {entry.object_id for entry in whole.photo(image, 640).objects}
    content["annotations"][1]["segmentation"] = segmentation
    file.write_text(json.dumps(content))
    source = open_source(f"coco:{file}@{coco_root}/images", config, tmp_path)
    after = {entry.object_id for entry in source.photo(image, 640).objects}
    assert before - after == {str(content["annotations"][1]["id"])}
    assert (whole.left_out, source.left_out) == (0, 1)


def test_a_polygon_without_an_area_costs_no_object(
    coco_root: Path, config: TaosConfig, tmp_path: Path
) -> None:
    content = json.loads((coco_root / "instances.json").read_text())
    polygon = [10, 10, 50, 10, 50, 50, 10, 50]
    content["annotations"][1]["segmentation"] = [[1, 2, 3, 4], polygon]
    file = tmp_path / "some.json"
    file.write_text(json.dumps(content))
    source = open_source(f"coco:{file}@{coco_root}/images", config, tmp_path)
    wanted = str(content["annotations"][1]["id"])
    objects = source.photo(content["annotations"][1]["image_id"], 640).objects
    (found,) = (entry for entry in objects if entry.object_id == wanted)
    assert found.area == 1600
    assert source.left_out == 0


def test_a_file_of_crowds_says_so(coco_root: Path, config: TaosConfig, tmp_path: Path) -> None:
    content = json.loads((coco_root / "instances.json").read_text())
    for entry in content["annotations"]:
        entry["iscrowd"] = 1
    file = tmp_path / "crowds.json"
    file.write_text(json.dumps(content))
    number = len(content["annotations"])
    with pytest.raises(InvalidInputError, match=rf"{number} are crowds \(iscrowd\), 0 have no"):
        open_source(f"coco:{file}@{coco_root}/images", config, tmp_path)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"images": []}', '{"images": [{}], "annotations": []}']
)
def test_coco_file_that_is_none(
    text: str, config: TaosConfig, coco_root: Path, tmp_path: Path
) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(CorruptRecordError, match=r"x.json"):
        open_source(f"coco:{file}@{coco_root}/images", config, tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.1 0.2", "at least 3 x y pairs"),
        ("0 0.1 0.2 0.3 0.4 0.5 x", "expected numbers"),
        ("0 0.1 0.2 0.3 0.4 0.5 7.0", "normalised"),
        ("0 0.1 0.2 0.3 0.4 0.5 nan", "normalised"),
    ],
)
def test_yolo_names_the_broken_line(
    yolo_root: Path, config: TaosConfig, tmp_path: Path, line: str, message: str
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(yolo_root, root)
    label = root / "labels/train/003.txt"
    label.write_text(label.read_text() + line + "\n")
    with pytest.raises(CorruptRecordError, match=message) as caught:
        open_source(f"yolo:{root}", config, tmp_path).photo("train/003.jpg", 640)
    assert caught.value.record == "line 4"
    assert caught.value.file.endswith("003.txt")


def test_a_huge_image_is_refused_before_decoding(config: TaosConfig, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    small = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    bomb = small[:16] + (100_000).to_bytes(4, "big") * 2 + small[24:]
    (tmp_path / "images/bomb.png").write_bytes(bomb)
    source = open_source(f"yolo:{tmp_path}", config, tmp_path)
    with pytest.raises(CorruptRecordError, match="pixels, got 100000x100000"):
        source.photo("bomb.png", 640)


def test_a_truncated_photo_is_named(config: TaosConfig, yolo_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(yolo_root, root)
    image = root / "images/train/001.jpg"
    image.write_bytes(b"no image at all")
    with pytest.raises(CorruptRecordError, match=r"001.jpg.*expected a JPEG"):
        open_source(f"yolo:{root}", config, tmp_path).photo("train/001.jpg", 640)


def test_cut_outs_keep_soft_alpha(cutouts_root: Path, config: TaosConfig, tmp_path: Path) -> None:
    source = open_source(f"cutouts:{cutouts_root}", config, tmp_path)
    assert list(source.pool(0)) == ["0.png", "1.png", "2.png", "3.webp"]
    for key in source.pool(0):
        cut = source.cut_out(key)
        assert cut.soft
        assert ((cut.alpha > 0.1) & (cut.alpha < 0.9)).sum() > 100
        assert cut.alpha[0].max() > 0
        assert cut.alpha[:, -1].max() > 0  # trimmed to what is not transparent
    original = cv2.imread(str(cutouts_root / "1.png"), cv2.IMREAD_UNCHANGED)
    cut = source.cut_out("1.png")
    x, y, w, h = cv2.boundingRect((original[..., 3] > 0).astype(np.uint8))
    expected = original[y : y + h, x : x + w]
    assert (cut.rgb == expected[..., 2::-1]).all()
    assert np.allclose(cut.alpha * 255, expected[..., 3])


@pytest.mark.parametrize(
    ("alpha", "reason"),
    [
        (np.full((80, 80), 255), "cutout_without_outline"),
        (np.pad(np.full((10, 10), 255), 30), "cutout_small"),
        (np.pad(np.repeat([[255, 0, 255]], 60, 0).repeat(30, 1), 4), "cutout_in_pieces"),
    ],
)
def test_cut_outs_that_are_none(
    alpha: np.ndarray, reason: str, config: TaosConfig, tmp_path: Path
) -> None:
    rgba = np.dstack([np.full((*alpha.shape, 3), 90), alpha]).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), rgba)
    with pytest.raises(RejectedError) as caught:
        open_source(f"cutouts:{tmp_path}", config, tmp_path).cut_out("x.png")
    assert caught.value.reason == reason


def test_cut_out_without_alpha_or_all_transparent(config: TaosConfig, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((40, 40, 4), np.uint8))
    source = open_source(f"cutouts:{tmp_path}", config, tmp_path)
    with pytest.raises(CorruptRecordError, match=r"a.png.*alpha channel"):
        source.cut_out("a.png")
    with pytest.raises(CorruptRecordError, match=r"b.png.*transparent"):
        source.cut_out("b.png")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nonsense", "KIND:PATH"),
        ("zip:/x", "one of coco, yolo"),
        ("yolo:", "KIND:PATH"),
        ("coco:only.json", "annotations.json@images_folder"),
        ("yolo:/does/not/exist", "does not exist"),
    ],
)
def test_bad_source_specs(spec: str, message: str, config: TaosConfig, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=message):
        open_source(spec, config, tmp_path)


@pytest.mark.parametrize("kind", ["yolo", "sa1b", "cutouts", "render"])
def test_empty_folders(kind: str, config: TaosConfig, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=kind):
        open_source(f"{kind}:{tmp_path}", config, tmp_path)
