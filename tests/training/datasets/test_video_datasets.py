# SPDX-License-Identifier: Apache-2.0
"""FISHBOWL and MOViD-A."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from training.datasets import CorruptRecordError, DatasetError, open_dataset

FISH_HW = (320, 480)


@pytest.fixture
def fishbowl(tmp_path, layout):
    whole = layout.rectangle(100, 40, 200, 90, FISH_HW)
    visible = layout.rectangle(100, 40, 150, 90, FISH_HW)
    certain = ~layout.rectangle(150, 40, 300, 90, FISH_HW)
    frame = {
        "VM": [layout.rle_bytes(visible)],
        "FM": [layout.rle_bytes(whole)],
        "loss_mask_weight": [layout.rle_bytes(certain)],
        "VM_bx": [40, 89, 100, 149],  # rows first
        "FM_bx": [40, 89, 100, 199],
    }
    content = {"00043_1": {t: dict(frame) for t in (3, 4)}, "00043_0": {4: dict(frame)}}
    for t in (3, 4):
        layout.write_image(
            tmp_path / f"test_data/test_frames/00043/{t:05d}.png", FISH_HW, (t, t, t)
        )
    return tmp_path, content, (whole, visible, certain)


def test_fishbowl(layout, fishbowl):
    root, content, (whole, visible, certain) = fishbowl
    file = layout.write_pickle(root / "test_data/test_data.pkl", content)
    dataset = open_dataset("fishbowl", root, file)
    samples = list(dataset)
    assert [(s.video_id, s.track_id, s.frame) for s in samples] == [
        ("00043", "1", 3),
        ("00043", "1", 4),
        ("00043", "0", 4),
    ]
    assert (samples[1].image.load() == 4).all()
    np.testing.assert_array_equal(samples[0].amodal_mask, whole)
    np.testing.assert_array_equal(samples[0].visible_mask, visible)
    np.testing.assert_array_equal(samples[0].loss_mask, certain)
    np.testing.assert_array_equal(samples[0].visible_box_xyxy, [100, 40, 150, 90])
    assert dataset.images() == [[0], [1, 2]]


def test_fishbowl_missing_frame_is_named(layout, fishbowl):
    root, content, _ = fishbowl
    (root / "test_data/test_frames/00043/00004.png").unlink()
    file = layout.write_pickle(root / "test_data/test_data.pkl", content)
    dataset = open_dataset("fishbowl", root / "test_data", file)
    assert dataset[0].frame == 3
    with pytest.raises(CorruptRecordError, match=r"object 00043_1, frame 4: image .*00004\.png"):
        dataset[1]


def test_fishbowl_refuses_another_pickle(tmp_path, layout):
    file = layout.write_pickle(tmp_path / "test_data.pkl", {"images": [], "annotations": []})
    with pytest.raises(DatasetError, match="the key 'images' is not 'video_object'"):
        open_dataset("fishbowl", tmp_path, file)


@pytest.fixture
def movid(tmp_path, layout):
    """Object 0 is partly behind object 1; object 1 leaves the view in frame 1."""
    hw = (32, 48)
    boxes = {0: (4, 6, 24, 26), 1: (14, 2, 40, 20)}
    folder = tmp_path / "test" / "17"
    metadata = {
        "metadata": {"num_frames": 2, "height": hw[0], "width": hw[1]},
        "instances": [
            {
                "bboxes": [[0.1875, 0.0833, 0.8125, 0.5]] * 2,
                "bbox_frames": [0, 1],
                "category": "a",
            },
            {"bboxes": [[0.0625, 0.2917, 0.625, 0.8333]], "bbox_frames": [0]},
        ],
    }
    layout.write_json(folder / "metadata.json", metadata)
    for t in (0, 1):
        layout.write_image(folder / f"rgba_full_{t:05d}.png", hw, (50, 60, 70, 255))
        ids = np.zeros(hw, dtype=np.uint8)
        for number in (0, 1):
            whole = layout.rectangle(*boxes[number], hw)
            if t == 1 and number == 1:
                whole[:] = False
            ids[whole] = number + 1
            save_palette(folder / f"segmentation_{number}_{t:05d}.png", whole * (number + 1))
        save_palette(folder / f"segmentation_full_{t:05d}.png", ids)
    return tmp_path, boxes, hw


def save_palette(path, ids: np.ndarray) -> None:
    """Kubric writes palette images: index 1 is some colour, not grey level 1."""
    image = Image.fromarray(ids.astype(np.uint8), mode="L").convert("P")
    image.putdata(ids.astype(np.uint8).reshape(-1).tolist())
    image.putpalette(np.random.default_rng(0).integers(0, 255, 768).tolist())
    image.save(path)


@pytest.mark.parametrize("listed", [False, True])
def test_movid_a(layout, movid, listed):
    root, boxes, hw = movid
    annotations = root / "test"
    if listed:
        annotations = root / "test_instance.txt"
        annotations.write_text("17_0_1\n17_1_2\n")
    samples = list(open_dataset("movid_a", root, annotations))
    assert [(s.track_id, s.frame) for s in samples] == [(0, 0), (0, 1), (1, 0)]
    behind = samples[0]
    np.testing.assert_array_equal(behind.amodal_mask, layout.rectangle(*boxes[0], hw))
    expected = layout.rectangle(*boxes[0], hw) & ~layout.rectangle(*boxes[1], hw)
    np.testing.assert_array_equal(behind.visible_mask, expected)
    np.testing.assert_array_equal(behind.loss_mask, ~layout.rectangle(*boxes[1], hw))
    assert samples[1].occlusion_rate == 0
    assert behind.image.load().shape == (*hw, 3)
    assert behind.category_name == "a"


def test_movid_a_wrong_value_and_wrong_size(layout, movid):
    root, _, _ = movid
    wrong = root / "test_instance.txt"
    wrong.write_text("17_0_0\n")
    with pytest.raises(CorruptRecordError, match="line 1: object 0 has the value 0, not 1"):
        open_dataset("movid_a", root, wrong)
    save_palette(root / "test/17/segmentation_0_00001.png", np.ones((5, 5)))
    dataset = open_dataset("movid_a", root, root / "test")
    with pytest.raises(CorruptRecordError, match=r"object 0, frame 1: .*shape \(5, 5\)"):
        dataset[1]
