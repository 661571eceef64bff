# SPDX-License-Identifier: Apache-2.0
"""KINS, COCOA-cls and amodal_coco: flat COCO files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.datasets import (
    AmodalCocoWriter,
    CorruptRecordError,
    DatasetError,
    open_dataset,
)
from training.datasets.sample import ImageFile


@pytest.fixture
def kins(tmp_path, layout):
    """Original release: 000000.png exists in both splits, category 3 is missing."""
    layout.write_image(tmp_path / "training/image_2/000000.png", color=(1, 1, 1))
    layout.write_image(tmp_path / "testing/image_2/000000.png", color=(9, 9, 9))
    whole = layout.rectangle(2, 3, 12, 9) | layout.rectangle(20, 5, 33, 20)
    annotation = {
        "segmentation": [layout.polygon(2, 3, 12, 9), layout.polygon(20, 5, 33, 20)],
        "bbox": [2, 3, 31, 17],
        "inmodal_seg": layout.rle(layout.rectangle(2, 3, 12, 9)),
        "inmodal_bbox": [2, 3, 10, 6],
        "area": int(whole.sum()),
        "category_id": 4,
        "image_id": 0,
        "iscrowd": 0,
        "id": 71,
    }
    names = {1: "cyclist", 2: "pedestrian", 4: "car", 5: "tram", 6: "truck", 7: "van", 8: "misc"}
    content = {
        "images": [layout.image_entry(0, "000000.png")],
        "annotations": [annotation],
        "categories": [{"id": i, "name": n} for i, n in names.items()],
    }
    return tmp_path, content, whole


@pytest.mark.parametrize(
    ("file", "color"), [("instances_train.json", 1), ("instances_val.json", 9)]
)
def test_kins_original(layout, kins, file, color):
    root, content, whole = kins
    dataset = open_dataset("kins", root, layout.write_json(root / file, content))
    (sample,) = dataset
    np.testing.assert_array_equal(sample.amodal_mask, whole)
    np.testing.assert_array_equal(sample.visible_mask, layout.rectangle(2, 3, 12, 9))
    assert sample.amodal_box_xyxy.tolist() == [2, 3, 33, 20]
    np.testing.assert_array_equal(sample.visible_box_xyxy, [2, 3, 12, 9])
    assert (sample.category_id, sample.category_name) == (4, "car")
    assert (sample.image.load() == color).all()
    assert str(sample.provenance) == f"{root / file}: annotation 0 (id 71)"


def test_kins_2020(layout, kins):
    root, content, _ = kins
    (annotation,) = content["annotations"]
    content["annotations"] = [
        {
            "a_segm": [layout.polygon(2, 3, 12, 9), layout.polygon(20, 5, 33, 20)],
            "i_segm": [layout.polygon(20, 5, 33, 20)],
            "a_bbox": [2, 3, 31, 17],
            "i_bbox": [20, 5, 13, 15],
            "oco_id": 3,
            "ico_id": ico_id,
            "category_id": annotation["category_id"],
            "image_id": 0,
            "id": 5 + ico_id,
        }
        for ico_id in (0, 1)
    ]
    file = layout.write_json(root / "update_test_2020.json", content)
    samples = list(open_dataset("kins", root, file))
    assert [s.instance_id for s in samples] == [5, 6]
    for sample in samples:
        np.testing.assert_array_equal(sample.visible_mask, layout.rectangle(20, 5, 33, 20))
        assert sample.amodal_box_xyxy.tolist() == [2, 3, 33, 20]
        assert (sample.image.load() == 9).all()


def cocoa_cls_content(layout) -> dict:
    amodal, visible = layout.rectangle(4, 2, 30, 20), layout.rectangle(4, 2, 15, 20)
    return {
        "images": [
            layout.image_entry(42, "COCO_val2014_000000000042.jpg"),
            layout.image_entry(139, "COCO_val2014_000000000139.jpg"),
        ],
        "annotations": [
            {
                "segmentation": layout.rle(amodal),
                "visible_mask": layout.rle(visible),
                "bbox": [4, 2, 26, 18],
                "category_id": 62,
                "occlude_rate": 0.42,
                "area": int(amodal.sum()),
                "image_id": 139,
                "iscrowd": 1,
                "id": 7,
            },
            {
                "segmentation": layout.rle_uncompressed(amodal),
                "category_id": 62,
                "image_id": 42,
                "iscrowd": 0,
                "id": 8,
            },
        ],
        "categories": [{"id": 62, "name": "chair"}],
    }


def test_cocoa_cls_with_iscrowd_and_both_kinds_of_rle(tmp_path, layout):
    for number, color in ((42, 100), (139, 200)):
        name = f"val2014/COCO_val2014_{number:012d}.jpg"
        layout.write_image(tmp_path / name, color=(color,) * 3)
    file = layout.write_json(
        tmp_path / "COCO_amodal_val2014_with_classes.json", cocoa_cls_content(layout)
    )
    occluded, whole = open_dataset("cocoa_cls", tmp_path, file)
    assert occluded.category_name == "chair"
    assert occluded.occlusion_rate == pytest.approx(15 / 26)
    assert (np.abs(occluded.image.load().astype(int) - 200) < 4).all()
    assert (np.abs(whole.image.load().astype(int) - 100) < 4).all()
    assert whole.occlusion_rate == 0
    np.testing.assert_array_equal(whole.visible_mask, whole.amodal_mask)


@pytest.fixture
def written(tmp_path, layout):
    """Two frames of a clip and a still, written by our own writer."""
    writer = AmodalCocoWriter({"description": "test"}, ["cup", "box"])
    amodal, visible = layout.rectangle(4, 2, 30, 20), layout.rectangle(4, 2, 15, 20)
    for frame in (1, 0):
        layout.write_image(tmp_path / f"images/clip_{frame}.png")
        image = writer.add_image(f"clip_{frame}.png", layout.hw, video_id=3, frame=frame)
        writer.add_object(image, "box", amodal, visible, track_id=9)
        writer.add_object(image, "cup", amodal, np.zeros_like(amodal), track_id=1)
    layout.write_image(tmp_path / "still.png")
    writer.add_object(writer.add_image("still.png", layout.hw), "cup", amodal, amodal)
    writer.write(tmp_path / "annotations.json")
    return tmp_path


def test_amodal_coco_round_trip(layout, written):
    dataset = open_dataset("amodal_coco", written, written / "annotations.json")
    samples = list(dataset)
    assert [s.category_name for s in samples] == ["box", "cup", "box", "cup", "cup"]
    assert [(s.video_id, s.frame, s.track_id) for s in samples[:2]] == [(3, 1, 9), (3, 1, 1)]
    assert samples[1].visible_box_xyxy is None
    assert samples[1].occlusion_rate == 1
    assert samples[4].video_id is None
    assert samples[4].track_id is None
    np.testing.assert_array_equal(samples[0].visible_mask, layout.rectangle(4, 2, 15, 20))
    assert dataset.images() == [[2, 3], [0, 1], [4]]


def test_writer_writes_documented_keys(layout, written):
    import json

    content = json.loads((written / "annotations.json").read_text())
    first = content["annotations"][0]
    assert first["bbox"] == [4, 2, 26, 18]
    assert first["visible_bbox"] == [4, 2, 11, 18]
    assert content["annotations"][1]["visible_bbox"] == [0, 0, 0, 0]
    assert first["segmentation"] == layout.rle(layout.rectangle(4, 2, 30, 20))
    assert content["images"][0]["frame"] == 1


def break_at(content: dict, index: int, **changes: object) -> None:
    for key, value in changes.items():
        if value is None:
            del content["annotations"][index][key]
        else:
            content["annotations"][index][key] = value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segmentation": None}, "has no key 'segmentation'"),
        ({"visible_mask": None}, "has no key 'visible_mask'"),
        ({"segmentation": []}, "the amodal mask is empty"),
        ({"segmentation": {"size": [24, 40], "counts": "zz"}}, "RLE|number"),
        ({"segmentation": {"size": [40, 24], "counts": [960]}}, "does not match the image's"),
        ({"image_id": 77}, "refers to image_id 77, which is not among the images"),
        ({"image_id": [1]}, "unhashable"),
        ({"visible_mask": [[1.0, 2.0, 3.0]]}, "polygon of 3 numbers"),
    ],
)
def test_a_corrupt_record_is_named_and_can_be_skipped(layout, written, changes, message):
    import json

    file = written / "annotations.json"
    content = json.loads(file.read_text())
    break_at(content, 3, **changes)
    file.write_text(json.dumps(content))
    dataset = open_dataset("amodal_coco", written, file)
    with pytest.raises(CorruptRecordError, match=message) as caught:
        list(dataset)
    assert "annotations.json, record annotation 3 (id 4)" in str(caught.value)
    bad = []
    assert sorted(index for image in dataset.images() for index in image) == [0, 1, 2, 3, 4]
    kept = list(dataset.read(bad=bad))
    assert [s.instance_id for s in kept] == [1, 2, 3, 5]
    assert len(bad) == 1
    assert str(bad[0]).startswith(f"{file}, record annotation 3 (id 4): ")


@pytest.mark.parametrize("damage", ["missing", "garbage", "size"])
def test_a_bad_image_names_image_and_record(layout, written, damage):
    path = written / "still.png"
    if damage == "missing":
        path.unlink()
    elif damage == "garbage":
        path.write_bytes(b"not a picture")
    else:
        layout.write_image(path, (30, 30))
    dataset = open_dataset("amodal_coco", written, written / "annotations.json")
    expected = {
        "missing": "does not exist",
        "garbage": "cannot be read",
        "size": "30x30, the annotation says 40x24",
    }
    with pytest.raises(CorruptRecordError, match=expected[damage]) as caught:
        dataset[4]
    assert "still.png" in str(caught.value)
    assert "annotation 4 (id 5)" in str(caught.value)


def test_a_truncated_image_is_found_when_loaded(layout, written):
    path = written / "still.png"
    noise = np.random.default_rng(0).integers(0, 255, (*layout.hw, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:600])
    sample = open_dataset("amodal_coco", written, written / "annotations.json")[4]
    with pytest.raises(CorruptRecordError, match=r"still\.png, record image: cannot be decoded"):
        sample.image.load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "holds a list, expected an object"),
        ('{"images": []}', "has no list 'annotations'; its keys are"),
        ('{"images": [{"id": 1}, {"id": 1}], "annotations": []}', "the image id 1 occurs twice"),
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path, text, message):
    file = tmp_path / "annotations.json"
    file.write_text(text)
    with pytest.raises(DatasetError, match=message):
        open_dataset("amodal_coco", tmp_path, file)


def test_unknown_names_and_paths(tmp_path):
    with pytest.raises(DatasetError, match="unknown dataset 'coco'; there are amodal_coco, coc"):
        open_dataset("coco", tmp_path, tmp_path)
    with pytest.raises(DatasetError, match="is not a directory"):
        open_dataset("kins", tmp_path / "no", tmp_path)
    with pytest.raises(DatasetError, match=r"no\.json does not exist"):
        open_dataset("kins", tmp_path, tmp_path / "no.json")


def test_grey_of_16_bits_is_scaled(tmp_path: Path) -> None:
    """Clipped at 255, as Pillow does it by itself, nearly all of it would be white."""
    ramp = np.linspace(0, 65535, 24 * 40).reshape(24, 40).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    loaded = ImageFile(tmp_path / "deep.png", (24, 40)).load()
    assert loaded.shape == (24, 40, 3)
    assert (loaded == (ramp >> 8)[..., None]).all()
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(CorruptRecordError, match="expected 8 or 16 bits a channel, got float32"):
        ImageFile(tmp_path / "float.tif", (24, 40)).load()
