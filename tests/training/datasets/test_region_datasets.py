# SPDX-License-Identifier: Apache-2.0
"""COCOA and MP3D-Amodal: regions inside annotations."""

from __future__ import annotations

import numpy as np
import pytest

from training.datasets import CorruptRecordError, DatasetError, open_dataset

COCOA_FILE = "annotations/COCO_amodal_val2014.json"
MP3D_FILE = "MP3D_seleted_eval_10.29.pkl"


def cocoa_content(layout) -> dict:
    """Annotations in another order than images; the date key is spelt as in the release."""
    hidden = layout.rle(np.zeros(layout.hw, dtype=bool))
    return {
        "info": {"data_captured": "2015"},
        "images": [
            layout.image_entry(9, "COCO_val2014_000000000009.jpg")
            | {"data_captured": "2013-11-19", "coco_url": ""},
            layout.image_entry(5, "COCO_val2014_000000000005.jpg", (30, 50)),
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 5,
                "size": 1,
                "depth_constraint": "",
                "regions": [
                    {
                        "segmentation": [1.0, 1.0, 45.0, 1.0, 45.0, 28.0, 1.0, 28.0],
                        "name": "wall",
                        "isStuff": 1,
                        "occlude_rate": 0,
                        "order": 1,
                        "area": 1188.0,
                    }
                ],
            },
            {
                "id": 2,
                "image_id": 9,
                "size": 2,
                "depth_constraint": "1-2,1-3",
                "regions": [
                    {"segmentation": layout.polygon(2, 3, 20, 20), "name": "man", "order": 1},
                    {
                        "segmentation": layout.polygon(10, 5, 30, 18),
                        "name": "dog",
                        "order": 2,
                        "occlude_rate": 0.5,
                        "visible_mask": layout.rle(layout.rectangle(20, 5, 30, 18)),
                        "invisible_mask": layout.rle(layout.rectangle(10, 5, 20, 18)),
                    },
                    {
                        "segmentation": layout.polygon(4, 5, 8, 9),
                        "name": "ball",
                        "order": 3,
                        "occlude_rate": 1.0,
                        "visible_mask": hidden,
                    },
                ],
            },
        ],
    }


@pytest.fixture
def cocoa(tmp_path, layout):
    layout.write_image(tmp_path / "val2014/COCO_val2014_000000000009.jpg")
    layout.write_image(tmp_path / "val2014/COCO_val2014_000000000005.jpg", (30, 50))
    return tmp_path, layout.write_json(tmp_path / COCOA_FILE, cocoa_content(layout))


def test_cocoa_joins_on_image_id_and_reads_all_kinds_of_regions(layout, cocoa):
    wall, man, dog, ball = open_dataset("cocoa", *cocoa)
    assert wall.image.hw == (30, 50)
    assert wall.occlusion_rate == 0
    assert [s.image_id for s in (wall, man, dog, ball)] == [5, 9, 9, 9]
    assert [s.category_name for s in (wall, man, dog, ball)] == ["wall", "man", "dog", "ball"]
    np.testing.assert_array_equal(man.visible_mask, man.amodal_mask)
    np.testing.assert_array_equal(dog.amodal_mask, layout.rectangle(10, 5, 30, 18))
    np.testing.assert_array_equal(dog.visible_mask, layout.rectangle(20, 5, 30, 18))
    assert ball.visible_box_xyxy is None
    assert ball.occlusion_rate == 1
    assert ball.category_id is None


def test_cocoa_names_annotation_and_region(layout, cocoa):
    root, file = cocoa
    content = cocoa_content(layout)
    content["annotations"][1]["regions"][1]["visible_mask"]["counts"] = "oops"
    layout.write_json(file, content)
    dataset = open_dataset("cocoa", root, file)
    with pytest.raises(CorruptRecordError, match=r"annotation 1 \(image_id 9\), region 1: RLE"):
        dataset[2]
    assert dataset[1].category_name == "man"


def mp3d_content(layout, dtype=dict) -> dict:
    amodal, visible = layout.rectangle(4, 2, 30, 20), layout.rectangle(4, 2, 15, 20)
    return {
        "images": [layout.image_entry(3, "house_a/view_3.jpg")],
        "annotations": [
            {
                "id": 0,
                "image_id": 3,
                "depth_constraint": "",
                "regions": [
                    {
                        "segmentation": layout.rle_bytes(amodal),
                        "visible_mask": layout.rle_bytes(visible),
                        "category_id": np.int64(5),
                    },
                    {
                        "segmentation": layout.rle(amodal),
                        "visible_mask": layout.rle(visible),
                        "category_id": "chair",
                    },
                ],
            }
        ],
    }


@pytest.mark.parametrize("protocol", [2, 4])
def test_mp3d_has_rle_for_both_masks(tmp_path, layout, protocol):
    layout.write_image(tmp_path / "house_a/view_3.jpg")
    file = layout.write_pickle(tmp_path / MP3D_FILE, mp3d_content(layout), protocol)
    first, second = open_dataset("mp3d_amodal", tmp_path, file)
    assert (first.category_id, first.category_name) == (5, "5")
    assert second.category_name == "chair"
    np.testing.assert_array_equal(first.visible_mask, layout.rectangle(4, 2, 15, 20))
    assert first.amodal_box_xyxy.tolist() == [4, 2, 30, 20]


def test_mp3d_region_without_visible_mask_is_corrupt(tmp_path, layout):
    content = mp3d_content(layout)
    del content["annotations"][0]["regions"][0]["visible_mask"]
    layout.write_image(tmp_path / "images/house_a/view_3.jpg")
    file = layout.write_pickle(tmp_path / MP3D_FILE, content)
    dataset = open_dataset("mp3d_amodal", tmp_path, file)
    with pytest.raises(CorruptRecordError, match="has no key 'visible_mask'"):
        dataset[0]
    assert dataset[1].image.path == tmp_path / "images/house_a/view_3.jpg"


def test_a_flat_file_is_not_cocoa(tmp_path, layout):
    content = {"images": [], "annotations": [{"id": 1, "segmentation": []}]}
    file = layout.write_json(tmp_path / "flat.json", content)
    with pytest.raises(
        DatasetError, match="annotation 0 has no list 'regions'; this is not a coc"
    ):
        open_dataset("cocoa", tmp_path, file)
