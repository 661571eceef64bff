# SPDX-License-Identifier: Apache-2.0
"""Mode `roi`: what a crop per object must give, whatever the boxes, and what it may cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.resample import threshold_logits
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.types import PointPrompt
from tests.fakes import SIZE, FakeBackend, fake_manifest

HW = (90, 120)
BOXES = np.array(
    [
        [40, 30, 70, 60],
        [0, 0, 15, 8],  # in a corner
        [112, 80, 120, 90],
        [-20, 50, 10, 200],  # reaches outside
        [5, 44, 118, 47],  # 38 times as wide as high
        [60, 2, 62, 88],
    ],
    np.float32,
)


def make(**options: int) -> Any:
    manifest = fake_manifest("roi", "roi")
    return AmodalPredictor(manifest, FakeBackend(manifest), **options)


def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 255, (*HW, 3), dtype=np.uint8)


def paste_slowly(logits: np.ndarray, geometry: ResizeGeometry) -> np.ndarray:
    """Interpolates every pixel of the image, in the region or not."""
    rows, columns = geometry._logits_under_original(*logits.shape)
    return threshold_logits(logits, rows, columns, 0.0, whole=True).full()


@pytest.mark.parametrize("max_batch", [1, 2, 4, 8])
def test_each_object_is_what_it_is_alone_pasted_slowly(max_batch: int) -> None:
    predictor = make(max_batch=max_batch)
    priors: list[np.ndarray | None] = [None] * len(BOXES)
    priors[0] = np.zeros(HW, bool)
    priors[0][20:75, 35:80] = True
    got = predictor.predict(predictor.encode(image()), BOXES, priors)
    for row, box in enumerate(BOXES):
        alone = make()
        raw: dict[str, np.ndarray] = {}
        run = alone.backend.run

        def keep(graph: str, inputs: Any, run: Any = run, raw: Any = raw) -> Any:
            outputs = run(graph, inputs)
            if graph == "decoder":  # the last call is that of the amodal mask
                raw["logits"] = outputs["low_res_logits"]
            return outputs

        alone.backend.run = keep
        one = alone.predict(alone.encode(image()), [box], priors[row : row + 1])
        assert np.array_equal(got.raw_amodal_masks[row], one.raw_amodal_masks[0])
        assert np.array_equal(got.visible_masks[row], one.visible_masks[0])
        assert got.predicted_iou[row] == one.predicted_iou[0]
        inside = np.clip(box, 0, [HW[1], HW[0]] * 2)
        side = 2.0 * (inside[2:] - inside[:2]).max()
        centre = (inside[:2] + inside[2:]) / 2
        place = ResizeGeometry.roi(
            HW, np.concatenate([centre - side / 2, centre + side / 2]), SIZE
        )
        if priors[row] is None:
            slow = paste_slowly(raw["logits"][0, 0], place)
            assert np.array_equal(got.raw_amodal_masks[row], slow)
    # Thinner than a cell of the fake's logits, the last two boxes give nothing.
    assert got.visible_masks.any(axis=(1, 2)).tolist() == [True] * 4 + [False] * 2


def test_both_passes_are_one_call_of_the_suffix() -> None:
    predictor = make()
    predictor.predict(predictor.encode(image()), BOXES[:3])
    calls = predictor.backend.calls
    assert [name for name, _ in calls] == ["prefix", "suffix", "decoder", "decoder"]
    assert calls[0][1]["image"].shape == (3, 3, SIZE, SIZE)
    suffix = calls[1][1]
    assert suffix["adapter_gain"].tolist() == [0, 0, 0, 1, 1, 1]
    assert np.array_equal(suffix["features"][:3], suffix["features"][3:])
    assert not suffix["prior_masks"][:3].any()


def test_the_prompt_of_a_box_that_reaches_outside_ends_with_the_image() -> None:
    predictor = make()
    predictor.predict(predictor.encode(image()), [[-20, 50, 10, 200]])
    decoder = next(inputs for name, inputs in predictor.backend.calls if name == "decoder")
    (x0, y0), (x1, y1) = decoder["point_coords"][0]
    # 10 x 40 pixels in a region of 80.
    assert (x0, x1) == pytest.approx((28, 36), abs=0.1)
    assert (y0, y1) == pytest.approx((16, 48), abs=0.1)


def test_a_prior_beyond_the_region_moves_it() -> None:
    predictor = make()
    prior = np.zeros(HW, bool)
    prior[35:55, 40:74] = True
    predictor.predict(predictor.encode(image()), [[40, 35, 60, 55]], [prior])
    suffix = next(inputs for name, inputs in predictor.backend.calls if name == "suffix")
    columns = np.flatnonzero(suffix["prior_masks"][1, 0].any(axis=0))
    # All 34 pixels are in a region of 42 that moved by 3; unmoved, it would end at 70.
    assert len(columns) == pytest.approx(34 / 42 * SIZE, abs=2)


def test_points_are_looked_at_twice() -> None:
    """In the whole image to find the object, then in its region."""
    predictor = make()
    got = predictor.predict(
        predictor.encode(image()), points=[PointPrompt.from_points([[80, 60]])]
    )
    calls = predictor.backend.calls
    assert [name for name, _ in calls] == [
        *("prefix", "suffix", "decoder"),
        *("prefix", "suffix", "decoder", "decoder"),
    ]
    assert calls[1][1]["adapter_gain"].tolist() == [0]
    first, second = calls[2][1], calls[5][1]
    assert first["point_labels"].tolist() == second["point_labels"].tolist() == [[1, -1]]
    assert second["point_coords"][0, 0] == pytest.approx([SIZE / 2] * 2, abs=4)
    assert got.visible_masks[0, 60, 80]
    # The fake marks 8 input pixels about a point: fewer original ones in the smaller region.
    assert 0 < got.visible_masks[0].sum() < np.pi * (8 * 120 / SIZE) ** 2 / 1.5


def test_points_that_hit_nothing_are_asked_about_the_whole_image() -> None:
    predictor = make()
    run = predictor.backend.run

    def nothing(graph: str, inputs: dict) -> dict:
        outputs = run(graph, inputs)
        if graph == "decoder":
            outputs["low_res_logits"] = np.full_like(outputs["low_res_logits"], -1)
        return outputs

    predictor.backend.run = nothing
    got = predictor.predict(predictor.encode(image()), points=[PointPrompt.from_points([[5, 5]])])
    assert not got.amodal_masks.any()
    adapted = [i for name, i in predictor.backend.calls if name == "suffix"][1]
    assert adapted["prior_masks"][1, 0].any()


@pytest.mark.parametrize(("mode", "geometry"), [("full", "letterbox"), ("roi", "roi")])
def test_the_unadapted_image_is_encoded_once_however_many_objects(
    mode: str, geometry: str
) -> None:
    manifest = fake_manifest(mode, geometry)
    predictor = AmodalPredictor(manifest, FakeBackend(manifest), max_batch=2)
    features = predictor.encode(image())
    predictor.predict(features, BOXES)
    gains = [i["adapter_gain"] for name, i in predictor.backend.calls if name == "suffix"]
    unadapted = sum(int((gain == 0).sum()) for gain in gains)
    assert unadapted == (1 if mode == "full" else len(BOXES))
    prefixes = predictor.backend.graphs_run().count("prefix")
    assert prefixes == (1 if mode == "full" else 3)


def test_an_interruption_reaches_the_engine() -> None:
    predictor = make()
    predictor.interrupt()
    assert predictor.backend.interrupted


def test_a_decoder_with_adapters_gets_m_spec_and_gain_of_each_row() -> None:
    plain = fake_manifest("roi", "roi")
    decoder = plain.graphs["decoder"]
    given = [t for t in plain.graphs["suffix"].inputs if t.name != "features"]
    adapted = replace(decoder, inputs=(*decoder.inputs, *given))
    manifest = replace(plain, graphs={**plain.graphs, "decoder": adapted})
    backend = FakeBackend(manifest)
    decode = backend._decoder
    backend._decoder = lambda prior_masks, adapter_gain, **others: decode(**others)
    predictor = AmodalPredictor(manifest, backend)
    points = [None, PointPrompt.from_points([[5, 4]]), None]  # other prompts: calls of their own
    got = predictor.predict(predictor.encode(image()), BOXES[:3], points=points)
    assert np.array_equal(
        got.raw_amodal_masks,
        make().predict(make().encode(image()), BOXES[:3], points=points).raw_amodal_masks,
    )
    suffix = next(i for name, i in backend.calls if name == "suffix")
    calls = [i for name, i in backend.calls if name == "decoder"]
    assert [i["adapter_gain"].tolist() for i in calls] == [[0, 0], [0], [1, 1], [1]]
    assert np.array_equal(calls[2]["prior_masks"], suffix["prior_masks"][[3, 5]])
    assert np.array_equal(calls[3]["prior_masks"], suffix["prior_masks"][[4]])
