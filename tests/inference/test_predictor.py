# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal_ros.errors import BackendError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import parse_manifest
from amodal_ros.types import ImageFeatures, PointPrompt
from tests.fakes import SIZE, FakeBackend, fake_manifest, manifest_content

MODES = [("full", "letterbox"), ("full", "stretch"), ("roi", "roi")]
HW = (90, 120)
BOXES = np.array([[10, 20, 50, 60], [60, 60, 110, 85]], np.float32)


def make(mode: str = "full", geometry: str = "letterbox", **options: int) -> Any:
    """A predictor on the fake backend, into which the tests look."""
    manifest = fake_manifest(mode, geometry)
    return AmodalPredictor(manifest, FakeBackend(manifest), **options)


def encoded(predictor: AmodalPredictor) -> ImageFeatures:
    return predictor.encode(np.full((*HW, 3), 100, np.uint8))


def box_iou_of(mask: np.ndarray, box: np.ndarray) -> float:
    x0, y0, x1, y1 = np.round(box).astype(int)
    wanted = np.zeros_like(mask)
    wanted[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return (mask & wanted).sum() / (mask | wanted).sum()


@pytest.mark.parametrize(("mode", "geometry"), MODES)
def test_visible_masks_follow_the_box_and_amodal_ones_m_spec(mode: str, geometry: str) -> None:
    predictor = make(mode, geometry)
    got = predictor.predict(encoded(predictor), BOXES)
    assert got.raw_amodal_masks.shape == got.visible_masks.shape == (2, *HW)
    for row, box in enumerate(BOXES):
        assert box_iou_of(got.visible_masks[row], box) > 0.85
        centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * 0.6
        expanded = np.concatenate([centre - half, centre + half])
        assert box_iou_of(got.raw_amodal_masks[row], expanded) > 0.8
        assert got.raw_amodal_masks[row].sum() > got.visible_masks[row].sum()
    assert (
        got.predicted_iou > 0.1
    ).all()  # the fake's measure of M_spec: that of the pass with gain 1


@pytest.mark.parametrize(("mode", "geometry"), MODES)
def test_prior_masks_replace_the_expanded_box(mode: str, geometry: str) -> None:
    predictor = make(mode, geometry)
    prior = np.zeros(HW, bool)
    prior[15:70, 8:44] = True
    got = predictor.predict(encoded(predictor), BOXES, [prior, None])
    own = predictor.predict(encoded(predictor), BOXES)
    box_and_prior = prior.copy()
    box_and_prior[20:60, 10:50] = True
    raw = got.raw_amodal_masks[0]
    assert (raw & box_and_prior).sum() / (raw | box_and_prior).sum() > 0.85
    assert np.array_equal(got.raw_amodal_masks[1], own.raw_amodal_masks[1])
    assert np.array_equal(got.visible_masks, own.visible_masks)


@pytest.mark.parametrize(("mode", "geometry"), MODES)
def test_no_objects_run_no_engine(mode: str, geometry: str) -> None:
    predictor = make(mode, geometry)
    features = encoded(predictor)
    calls = len(predictor.backend.calls)
    got = predictor.predict(features, np.zeros((0, 4), np.float32))
    assert got.amodal_masks.shape == (0, *HW)
    assert {"prior", "suffix", "decoder", "postprocess"} <= set(got.timings_ms)
    assert len(predictor.predict(features, points=[])) == 0
    assert len(predictor.predict(features, [])) == 0
    assert len(predictor.predict(features, [], [])) == 0
    assert len(predictor.backend.calls) == calls


def test_decoder_that_broadcasts_is_given_one_row_for_the_visible_masks() -> None:
    usual = make()
    expected = usual.predict(encoded(usual), BOXES)
    content = manifest_content()
    content["graphs"]["decoder"]["inputs"][0]["shape"][0] = "E"
    manifest = parse_manifest(content, Path("nowhere"))
    backend = FakeBackend(manifest)
    predictor = AmodalPredictor(manifest, backend)
    got = predictor.predict(encoded(predictor), BOXES)
    rows = [len(inputs["embeddings"]) for name, inputs in backend.calls if name == "decoder"]
    assert rows == [1, 2]
    assert np.array_equal(got.visible_masks, expected.visible_masks)
    assert np.array_equal(got.raw_amodal_masks, expected.raw_amodal_masks)


def test_engine_calls_are_batched() -> None:
    predictor = make()
    predictor.predict(encoded(predictor), BOXES)
    graphs = predictor.backend.calls
    assert [name for name, _ in graphs] == ["prefix", "suffix", "decoder", "decoder"]
    suffix = graphs[1][1]
    assert suffix["adapter_gain"].tolist() == [0, 1, 1]
    assert suffix["features"].shape[0] == 1
    assert not suffix["prior_masks"][0].any()
    assert np.array_equal(graphs[2][1]["point_coords"], graphs[3][1]["point_coords"])
    assert graphs[2][1]["point_labels"].tolist() == [[2, 3], [2, 3]]


@pytest.mark.parametrize(("mode", "geometry"), MODES)
@pytest.mark.parametrize("max_batch", [1, 2, 3, 5])
def test_more_objects_than_a_batch_give_the_same(mode: str, geometry: str, max_batch: int) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (7, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(8, 25, (7, 2))], axis=1)
    whole, parts = make(mode, geometry, max_batch=32), make(mode, geometry, max_batch=max_batch)
    expected, got = (each.predict(encoded(each), boxes) for each in (whole, parts))
    assert np.array_equal(got.raw_amodal_masks, expected.raw_amodal_masks)
    assert np.array_equal(got.visible_masks, expected.visible_masks)
    assert np.array_equal(got.predicted_iou, expected.predicted_iou)
    for _, inputs in parts.backend.calls:
        rows = inputs.get("point_coords", inputs.get("prior_masks", inputs.get("image")))
        assert len(rows) <= max_batch


@pytest.mark.parametrize(("mode", "geometry"), MODES)
def test_points_alone_take_m_spec_from_the_unadapted_mask(mode: str, geometry: str) -> None:
    predictor = make(mode, geometry)
    points = [
        PointPrompt.from_points([[30, 40]]),
        PointPrompt.from_points([[90, 70], [1, 1]], [1, 0]),
    ]
    got = predictor.predict(encoded(predictor), points=points)
    for row, (x, y) in enumerate([(30, 40), (90, 70)]):
        assert got.visible_masks[row, y, x]
        assert got.visible_masks[row].sum() < 1200
    gains = [i["adapter_gain"].tolist() for name, i in predictor.backend.calls if name == "suffix"]
    assert gains == ([[0], [1, 1]] if mode == "full" else [[0], [0, 0, 1, 1]])
    adapted = [i for name, i in predictor.backend.calls if name == "suffix"][1]
    assert adapted["prior_masks"][-2:].any(axis=(1, 2, 3)).all()
    labels = [
        i["point_labels"].tolist() for name, i in predictor.backend.calls if name == "decoder"
    ]
    assert labels[:2] == [[[1, -1]], [[1, 0, -1]]]  # grouped by number of points


def test_points_that_hit_nothing_take_the_whole_image_as_m_spec() -> None:
    predictor = make()
    run = predictor.backend.run

    def nothing(graph: str, inputs: dict) -> dict:
        outputs = run(graph, inputs)
        if graph == "decoder":
            outputs["low_res_logits"] = np.full_like(outputs["low_res_logits"], -1)
        return outputs

    predictor.backend.run = nothing
    got = predictor.predict(encoded(predictor), points=[PointPrompt.from_points([[30, 40]])])
    assert not got.amodal_masks.any()
    adapted = [i for name, i in predictor.backend.calls if name == "suffix"][1]
    assert adapted["prior_masks"][0, 0, : SIZE * HW[0] // HW[1]].all()


def test_sam2_takes_corners_first_and_always_a_padding_point() -> None:
    """As `SAM2ImagePredictor._predict` and SAM 2's `_embed_points` order and pad them."""
    made = make()
    predictor = AmodalPredictor(replace(made.manifest, family="sam2"), made.backend)
    points = [None, PointPrompt.from_points([[70, 70], [0, 0]], [1, 0])]
    predictor.predict(encoded(predictor), BOXES, points=points)
    predictor.predict(encoded(predictor), points=points[1:])
    decoder = [inputs for name, inputs in predictor.backend.calls if name == "decoder"]
    labels = [inputs["point_labels"].tolist() for inputs in decoder]
    assert labels[:2] == [[[2, 3, -1]], [[2, 3, 1, 0, -1]]]
    assert labels[-1] == [[1, 0, -1]]
    scale = SIZE / HW[1]
    corners = np.asarray(BOXES[1], dtype=np.float32).reshape(2, 2) * scale
    assert decoder[1]["point_coords"][0, :2] == pytest.approx(corners, rel=1e-4)
    assert decoder[1]["point_coords"][0, 4].tolist() == [0, 0]


def test_points_with_a_box_come_before_its_corners() -> None:
    predictor = make()
    points = [None, PointPrompt.from_points([[70, 70], [0, 0]], [1, 0])]
    predictor.predict(encoded(predictor), BOXES, points=points)
    decoder = [inputs for name, inputs in predictor.backend.calls if name == "decoder"]
    assert decoder[0]["point_labels"].tolist() == [[2, 3]]
    assert decoder[1]["point_labels"].tolist() == [[1, 0, 2, 3]]
    scale = SIZE / HW[1]
    assert decoder[1]["point_coords"][0] == pytest.approx(
        np.array([[70, 70], [0, 0], [60, 60], [110, 85]]) * scale, abs=1e-4
    )


def test_roi_crops_a_region_about_each_box() -> None:
    predictor = make("roi", "roi")
    image = np.zeros((*HW, 3), np.uint8)
    image[60:85, 60:110] = 255
    predictor.predict(predictor.encode(image), BOXES)
    crops = predictor.backend.calls[0][1]["image"].mean(axis=1)
    bright = crops > 1
    assert not bright[0][:, :55].any()  # its region, 80 wide from -10, ends with 10 bright pixels
    rows, columns = np.nonzero(
        bright[1]
    )  # the box fills half the width of a region of twice its size
    assert (columns.min(), columns.max() + 1) == pytest.approx((16, 48), abs=1)
    assert (rows.min(), rows.max() + 1) == pytest.approx((24, 40), abs=1)


def test_box_reaching_outside_is_taken() -> None:
    for mode, geometry in MODES:
        predictor = make(mode, geometry)
        got = predictor.predict(encoded(predictor), [[-500, -500, 30, 30]])
        assert got.visible_masks[0, 10:20, 10:20].all()


def test_timings_cover_every_step() -> None:
    predictor = make("roi", "roi")
    features = encoded(predictor)
    assert set(features.timings_ms) == {"preprocess", "prefix"}
    got = predictor.predict(features, BOXES)
    names = {"preprocess", "prefix", "prior", "suffix", "decoder", "postprocess"}
    assert set(got.timings_ms) == names
    assert all(value > 0 for value in got.timings_ms.values())
    full = make()
    features = encoded(full)
    assert all(value > 0 for value in features.timings_ms.values())
    assert set(full.predict(features, BOXES).timings_ms) == names - {"preprocess", "prefix"}


def test_threads_do_not_disturb_each_other() -> None:
    predictor = make()
    features = encoded(predictor)
    boxes = [np.array([[x, 10, x + 20, 50]], np.float32) for x in range(0, 80, 10)]
    expected = [predictor.predict(features, box).amodal_masks for box in boxes]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(10):
            if not np.array_equal(
                predictor.predict(features, boxes[index]).amodal_masks, expected[index]
            ):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(boxes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_warm_up_runs_every_graph() -> None:
    for mode, geometry in MODES:
        predictor = make(mode, geometry)
        predictor.warm_up(3)
        assert set(predictor.backend.graphs_run()) == {"prefix", "suffix", "decoder"}


def test_engine_failures_pass_through_and_the_next_frame_is_answered() -> None:
    predictor = make()
    features = encoded(predictor)
    run = predictor.backend.run

    def fails(graph: str, inputs: dict) -> dict:
        raise BackendError(f"{graph} failed")

    predictor.backend.run = fails
    with pytest.raises(BackendError, match="suffix failed"):
        predictor.predict(features, BOXES)
    predictor.backend.run = run
    assert predictor.predict(features, BOXES).visible_masks.any(axis=(1, 2)).all()


@pytest.mark.parametrize(
    ("mode", "parallel", "ahead"),
    [("full", False, False), ("full", True, True), ("roi", True, False), ("roi", False, False)],
)
def test_images_are_encoded_ahead_where_graphs_run_beside_each_other(mode, parallel, ahead):
    manifest = fake_manifest(mode, "roi" if mode == "roi" else "letterbox")
    predictor = AmodalPredictor(manifest, FakeBackend(manifest), parallel=parallel)
    assert predictor.encodes_ahead is ahead
