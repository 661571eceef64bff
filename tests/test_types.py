# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from amodal_ros.errors import AmodalError, InvalidInputError
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.types import AmodalPrediction, Detections, ImageFeatures, PointPrompt


def test_detections_from_lists() -> None:
    detections = Detections.from_boxes([[0, 0, 2, 2], [1, 1, 3, 3]], [0.5, 1.0], ["cup", ""])
    assert len(detections) == 2
    assert detections.boxes_xyxy.dtype == np.float32
    assert detections.class_ids == ("cup", "")
    assert detections.detection_ids == ("", "")
    assert detections.track_ids.tolist() == [-1, -1]


def test_no_detections() -> None:
    empty = Detections.empty()
    assert len(empty) == 0
    assert empty.boxes_xyxy.shape == (0, 4)
    assert len(Detections.from_boxes([])) == 0
    assert len(Detections.from_boxes(np.zeros((0, 4)))) == 0


def test_select_by_numbers_and_by_mask() -> None:
    boxes = [[index, 0, index + 1, 1] for index in range(4)]
    detections = Detections.from_boxes(boxes, class_ids=list("abcd"), track_ids=[4, 5, 6, 7])
    assert detections.select([2, 0]).class_ids == ("c", "a")
    assert detections.select(np.array([False, True, False, True])).track_ids.tolist() == [5, 7]
    assert len(detections.select(np.zeros(0, int))) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes_xyxy": np.zeros((1, 4))}, "boxes_xyxy: expected a float32 array"),
        ({"boxes_xyxy": np.zeros((1, 5), np.float32)}, r"shape \(any, 4\)"),
        ({"boxes_xyxy": np.array([[2, 0, 1, 1]], np.float32)}, r"boxes_xyxy\[0\]: inverted"),
        ({"scores": np.ones(2, np.float32)}, r"scores: expected a float32 array of shape \(1\)"),
        (
            {"scores": np.array([1.5], np.float32)},
            r"scores\[0\]: expected a number in \[0, 1\], got 1.5",
        ),
        ({"scores": np.array([np.nan], np.float32)}, r"scores\[0\]"),
        ({"class_ids": ("a", "b")}, "class_ids: expected 1 strings, got 2"),
        ({"class_ids": (1,)}, "class_ids: expected a tuple of strings"),
        ({"detection_ids": ["a"]}, "detection_ids: expected a tuple of strings"),
        ({"track_ids": np.array([1])}, "track_ids: expected a int32 array"),
        ({"track_ids": np.array([-2], np.int32)}, r"track_ids\[0\]: expected -1 or more, got -2"),
    ],
)
def test_detections_refuse(changes: dict, message: str) -> None:
    good = Detections.from_boxes([[0, 0, 1, 1]])
    with pytest.raises(InvalidInputError, match=message):
        dataclasses.replace(good, **changes)


def test_invalid_input_is_a_value_error_and_ours() -> None:
    assert issubclass(InvalidInputError, ValueError)
    assert issubclass(InvalidInputError, AmodalError)


@pytest.mark.parametrize(
    ("coords", "labels", "message"),
    [
        ([[1, 2]], [0], "at least one of them 1"),
        ([[1, 2]], [2], "expected 0 and 1"),
        ([[1, 2]], [1, 1], r"labels: expected a int32 array of shape \(1\)"),
        ([[np.nan, 2]], None, "expected finite pixels"),
        ([], None, "at least one"),
    ],
)
def test_point_prompts_refuse(coords: list, labels: list | None, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        PointPrompt.from_points(coords, labels)


def test_features_hold_one_kind() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    features = np.zeros((1, 2, 3, 3), np.float32)
    geometry = ResizeGeometry.letterbox((4, 5), 8)
    assert ImageFeatures(features, None, geometry, (4, 5)).encoded == (features, geometry)
    with pytest.raises(InvalidInputError, match="expected an encoded image"):
        _ = ImageFeatures(None, image, None, (4, 5)).encoded
    with pytest.raises(InvalidInputError, match="features or an image, got both"):
        ImageFeatures(features, image, geometry, (4, 5))
    with pytest.raises(InvalidInputError, match="features and geometry, or an image"):
        ImageFeatures(features, None, None, (4, 5))
    with pytest.raises(InvalidInputError, match=r"size \(5, 4\) throughout, got \(4, 5\)"):
        ImageFeatures(None, image, None, (5, 4))


def prediction() -> AmodalPrediction:
    raw, visible = np.zeros((2, 3, 6, 8), bool)
    raw[0, 1:5, 1:5] = True  # 16 pixels, of which 8 visible, and 2 visible ones outside
    visible[0, 1:5, 3:5] = True
    visible[0, 0, 0:2] = True
    raw[1, 2, 2] = True  # fully hidden
    return AmodalPrediction.from_masks(raw, visible, np.zeros(3, np.float32))


def test_derived_masks() -> None:
    got = prediction()
    assert np.array_equal(got.amodal_masks, got.raw_amodal_masks | got.visible_masks)
    assert not (got.visible_masks & ~got.amodal_masks).any()
    assert got.occlusion_rate == pytest.approx([8 / 18, 1, 0])
    assert got.occlusion_rate.dtype == np.float32
    assert got.amodal_masks is got.amodal_masks  # computed once


def test_empty_prediction() -> None:
    got = AmodalPrediction.empty((6, 8))
    assert len(got) == 0
    assert got.amodal_masks.shape == (0, 6, 8)
    assert got.occlusion_rate.shape == (0,)


def test_predictions_refuse_arrays_that_do_not_fit() -> None:
    masks = np.zeros((2, 3, 4), bool)
    iou = np.zeros(2, np.float32)
    with pytest.raises(InvalidInputError, match="raw_amodal_masks: expected a bool array"):
        AmodalPrediction.from_masks(masks.astype(np.uint8), masks, iou)
    with pytest.raises(InvalidInputError, match=r"visible_masks: .* \(2, 3, 4\), got bool"):
        AmodalPrediction.from_masks(masks, masks[:1], iou)
    with pytest.raises(InvalidInputError, match="raw_amodal: expected 1 masks"):
        AmodalPrediction.from_masks(masks, masks, iou[:1])
