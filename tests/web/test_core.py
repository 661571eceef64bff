# SPDX-License-Identifier: Apache-2.0
"""The page's port of the inference core gives what Python gives, function by function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import box_faults, boxes_to_masks, clip_boxes
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.masks import mask_box
from amodal_ros.image.resize import resize_image
from amodal_ros.image.rle import encode_rle
from amodal_ros.inference.postprocess import masks_from_logits
from amodal_ros.inference.preprocess import preprocess_image
from amodal_ros.inference.prompts import check_queries, decoder_prompts, prior_boxes
from amodal_ros.inference.regions import object_regions
from amodal_ros.types import PointPrompt
from tests.web.port import Port, mask, picture, pixels

HW = 97, 131
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
SIZE = 64


def random_boxes(count: int, rng: np.random.Generator) -> np.ndarray:
    """Boxes (N, 4) float32 that overlap the image; some reach outside, some are slivers."""
    centres = rng.uniform(0, HW[::-1], (count, 2))
    sides = rng.choice([0.3, 5, 40, 150], (count, 2)) * rng.uniform(0.5, 1, (count, 2))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    return boxes.astype(np.float32)


def random_mask(rng: np.random.Generator, hw: tuple[int, int] = HW) -> np.ndarray:
    rows, columns = np.ogrid[: hw[0], : hw[1]]
    y, x = rng.uniform(0, hw[0]), rng.uniform(0, hw[1])
    return np.hypot((rows - y) / rng.uniform(3, 30), (columns - x) / rng.uniform(3, 30)) < 1


def frame(box: np.ndarray) -> dict[str, Any]:
    return {"width": HW[1], "height": HW[0], "box": box.tolist(), "size": SIZE}


def as_marks(coords: np.ndarray, labels: list[int]) -> list[dict[str, Any]]:
    """Points as the page holds them."""
    return [
        {"x": float(x), "y": float(y), "on": bool(label)}
        for (x, y), label in zip(coords, labels, strict=True)
    ]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(21)


@pytest.fixture
def boxes(rng: np.random.Generator) -> np.ndarray:
    return random_boxes(60, rng)


def test_square_about_a_box(port: Port, boxes: np.ndarray) -> None:
    got = port.call_many("region", [frame(box) for box in boxes])
    assert got == [list(ResizeGeometry.roi(HW, box, SIZE).source_xyxy) for box in boxes]


@pytest.mark.parametrize("with_prior", [False, True])
def test_region_of_an_object(
    port: Port, boxes: np.ndarray, rng: np.random.Generator, with_prior: bool
) -> None:
    boxes = clip_boxes(boxes, HW)[0]
    priors = [random_mask(rng) if with_prior else None for _ in boxes]
    priors = [None if prior is None or not prior.any() else prior for prior in priors]
    expected = object_regions(check_queries(HW, boxes, priors, None), 1.75, SIZE)
    given = [
        {
            **frame(box),
            "factor": 1.75,
            "priorBox": None if prior is None else [int(edge) for edge in mask_box(prior)],
        }
        for box, prior in zip(boxes, priors, strict=True)
    ]
    assert port.call_many("objectRegion", given) == [list(g.source_xyxy) for g in expected]
    if with_prior:
        plain = object_regions(check_queries(HW, boxes, None, None), 1.75, SIZE)
        assert sum(a != b for a, b in zip(expected, plain, strict=True)) > 20


def test_points_to_the_input(port: Port, boxes: np.ndarray, rng: np.random.Generator) -> None:
    points = rng.uniform(0, 100, (20, 2)).astype(np.float32)
    (got,) = port.call_many("toInput", [{**frame(boxes[2]), "points": points.tolist()}])
    expected = ResizeGeometry.roi(HW, boxes[2], SIZE).points_to_input(points)
    np.testing.assert_array_equal(np.float32(got), expected)


@pytest.mark.parametrize(
    "box", [[1, 2, 3, 4], [5, 1, 4, 9], [5, 1, 5, 9], [-9, 0, 0, 9], [131, 0, 140, 9]]
)
def test_refused_boxes(port: Port, box: list[float]) -> None:
    (fault,) = box_faults(np.float32([box]), HW)
    got = port.call("checkBox", box=box, width=HW[1], height=HW[0])
    if fault is None:
        assert got == box
    else:
        assert fault in got


def test_box_that_is_not_finite(port: Port) -> None:
    got = port.call("checkBox", box=["NaN", 0, 3, 4], width=9, height=9)
    assert "not finite" in got


def test_clipped_box(port: Port, boxes: np.ndarray) -> None:
    given = [{"box": box.tolist(), "width": HW[1], "height": HW[0]} for box in boxes]
    np.testing.assert_array_equal(
        np.float32(port.call_many("clipBox", given)), clip_boxes(boxes, HW)[0]
    )


def test_box_of_m_spec(port: Port, boxes: np.ndarray) -> None:
    boxes[0, 2] = boxes[0, 0]  # without area
    given = [
        {"box": box.tolist(), "factor": 1.2, "width": HW[1], "height": HW[0]} for box in boxes
    ]
    np.testing.assert_array_equal(
        np.float32(port.call_many("priorBox", given)), prior_boxes(boxes, 1.2, HW)
    )


def test_mask_of_a_box(port: Port, boxes: np.ndarray) -> None:
    given = [{"box": box.tolist(), "width": HW[1], "height": HW[0]} for box in boxes]
    for got, expected in zip(
        port.call_many("maskOfBox", given), boxes_to_masks(boxes, HW), strict=True
    ):
        np.testing.assert_array_equal(pixels(got, HW), expected)


def test_box_of_a_mask(port: Port, rng: np.random.Generator) -> None:
    masks = [random_mask(rng) for _ in range(5)] + [np.zeros(HW, bool)]
    got = port.call_many("maskBox", [mask(values) for values in masks])
    assert got == [list(mask_box(values)) for values in masks]


def test_masks_combined(port: Port, rng: np.random.Generator) -> None:
    a, b = random_mask(rng), random_mask(rng)
    got = port.call("maskPair", a=mask(a), b=mask(b))
    for values, expected in zip(got, (a | b, a & ~b), strict=True):
        np.testing.assert_array_equal(pixels(values, HW), expected)


def test_mask_in_the_input(port: Port, boxes: np.ndarray, rng: np.random.Generator) -> None:
    values = random_mask(rng) | random_mask(rng)
    given = [{**frame(box), "mask": mask(values)} for box in boxes[:12]]
    for got, box in zip(port.call_many("maskToInput", given), boxes, strict=False):
        expected = ResizeGeometry.roi(HW, box, SIZE).masks_to_input(values[None])[0, 0]
        np.testing.assert_array_equal(np.float32(got).reshape(SIZE, SIZE), expected)


@pytest.mark.parametrize(
    "hw",
    [
        (80, 80),  # as it is
        (150, 211),  # both axes grow
        (80, 97),
        (61, 70),  # both shrink, by less than 2
        (40, 40),  # exactly by 2
        (33, 37),  # by more than 2: averages over blocks come first
        (17, 11),  # by more than 4
    ],
)
def test_resize_to_the_last_level(
    port: Port, hw: tuple[int, int], rng: np.random.Generator
) -> None:
    image = rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)
    image[:40] = image[:40] // 64 * 64  # edges and noise
    got = port.call("resize", width=80, height=80, data=image.ravel().tolist(), to=list(hw))
    expected = resize_image(image, hw).transpose(1, 2, 0)
    difference = np.abs(np.reshape(got, (*hw, 3)) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.005


@pytest.mark.parametrize("index", range(6))
def test_input_tensor(port: Port, index: int, rng: np.random.Generator) -> None:
    box = random_boxes(6, rng)[index]
    image = rng.integers(0, 256, (*HW, 3), dtype=np.uint8)
    got = port.call("preprocess", picture=picture(image), mean=MEAN, std=STD, **frame(box))
    expected = preprocess_image(image, ResizeGeometry.roi(HW, box, SIZE), MEAN, STD)[0]
    difference = np.abs(np.float32(got).reshape(expected.shape) - expected)
    assert difference.max() <= 1.01 / min(STD)  # a grey level, where a half is rounded otherwise
    assert (difference > 0).mean() < 0.002


@pytest.mark.parametrize("family", ["mobile_sam", "sam2"])
@pytest.mark.parametrize(("with_box", "count"), [(True, 0), (True, 3), (False, 3)])
def test_decoder_prompts(port: Port, family: str, with_box: bool, count: int) -> None:
    box = np.float32([10.1, 20.2, 70.3, 80.4])
    coords = np.float32([[20.7, 30.1], [40.2, 50.9], [60, 70]])[:count]
    labels = [1, 0, 1][:count]
    points = [PointPrompt.from_points(coords, labels)] if count else [None]
    queries = check_queries(HW, box[None] if with_box else None, None, points)
    (expected,) = decoder_prompts(queries, [ResizeGeometry.roi(HW, box, SIZE)], family)
    got = port.call(
        "prompts",
        **frame(box),
        family=family,
        withBox=with_box,
        points=as_marks(coords, labels),
    )
    np.testing.assert_array_equal(np.float32(got["coords"]), expected.coords[0].ravel())
    np.testing.assert_array_equal(np.float32(got["labels"]), expected.labels[0])


@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_mask_from_logits(
    port: Port, threshold: float, boxes: np.ndarray, rng: np.random.Generator
) -> None:
    logits = rng.normal(0, 3, (len(boxes), 1, 16, 16)).astype(np.float32)
    geometries = [ResizeGeometry.roi(HW, box, SIZE) for box in boxes]
    expected = masks_from_logits(logits, geometries, threshold)
    given = [
        {**frame(box), "logits": values.ravel().tolist(), "threshold": threshold}
        for box, values in zip(boxes, logits, strict=True)
    ]
    for got, values in zip(port.call_many("maskFromLogits", given), expected, strict=True):
        np.testing.assert_array_equal(pixels(got, HW), values.full())


def test_run_lengths_as_pycocotools_writes_them(port: Port, rng: np.random.Generator) -> None:
    masks = [random_mask(rng), rng.random(HW) > 0.5, np.zeros(HW, bool), np.ones(HW, bool)]
    got = port.call_many("rle", [mask(values) for values in masks])
    assert got == [encode_rle(values) for values in masks]


@pytest.mark.parametrize(
    ("labels", "inside", "message", "here"),
    [
        ([0, 0], True, "at least one of them 1", "on the object"),
        ([1, 1], False, "within the image", "outside"),
    ],
)
def test_refused_points(
    port: Port, labels: list[int], inside: bool, message: str, here: str
) -> None:
    coords = np.float32([[3, 4], [5, 6]]) + (0 if inside else 1000)
    points = as_marks(coords, labels)
    with pytest.raises(InvalidInputError, match=message):
        check_queries(HW, None, None, [PointPrompt.from_points(coords, labels)])
    assert here in port.call("checkPoints", points=points, width=HW[1], height=HW[0])
    # With a box a point off the object is enough for the page; Python asks for one on it.
    with_box = port.call("checkPoints", points=points, box=[0, 0, 9, 9], width=HW[1], height=HW[0])
    assert with_box is None if inside else here in with_box
