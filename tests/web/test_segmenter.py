# SPDX-License-Identifier: Apache-2.0
"""An object goes through the graphs in the page as in Python: same calls, same masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import parse_manifest
from amodal_ros.types import AmodalPrediction, PointPrompt
from tests.fakes import FakeBackend, manifest_content
from tests.web.port import Port, mask, picture, pixels

HW = 90, 120
IMAGE = np.random.default_rng(5).integers(0, 256, (*HW, 3), dtype=np.uint8)
BOX = [30.5, 20.0, 71.0, 66.2]
PRIOR = np.zeros(HW, bool)
PRIOR[15:80, 40:100] = True


def by_python(
    content: dict[str, Any],
    box: list[float] | None,
    points: PointPrompt | None,
    prior: np.ndarray | None,
) -> tuple[AmodalPrediction, FakeBackend]:
    manifest = parse_manifest(content, Path("nowhere"))
    backend = FakeBackend(manifest)
    predictor = AmodalPredictor(manifest, backend)
    prediction = predictor.predict(
        predictor.encode(IMAGE),
        None if box is None else [box],
        [prior],
        points=None if points is None else [points],
    )
    return prediction, backend


@pytest.mark.parametrize("with_prior", [False, True])
@pytest.mark.parametrize("prompt", ["box", "points", "both"])
def test_masks_and_calls(port: Port, with_prior: bool, prompt: str) -> None:
    content = manifest_content("roi", "roi")
    box = None if prompt == "points" else BOX
    marks = [] if prompt == "box" else [(44.0, 40.0, True), (90.0, 70.0, False)]
    points = None
    if marks:
        points = PointPrompt.from_points([m[:2] for m in marks], [int(m[2]) for m in marks])
    prior = PRIOR if with_prior else None
    expected, backend = by_python(content, box, points, prior)
    query = {
        "box": box,
        "points": [{"x": x, "y": y, "on": on} for x, y, on in marks],
        "prior": None if prior is None else mask(prior),
    }
    got = port.call("segment", manifest=content, picture=picture(IMAGE), query=query)
    np.testing.assert_array_equal(pixels(got["visible"], HW), expected.visible_masks[0])
    np.testing.assert_array_equal(pixels(got["amodal"], HW), expected.amodal_masks[0])
    assert got["iou"] == pytest.approx(expected.predicted_iou[0], rel=1e-5)
    assert expected.amodal_masks[0].any()
    calls = [
        {"graph": graph, "dims": {name: list(values.shape) for name, values in inputs.items()}}
        for graph, inputs in backend.calls
    ]
    # Python asks the decoder for visible and amodal masks in two calls, the page in one.
    assert rows(got["calls"]) == rows(calls)


def rows(calls: list[dict[str, Any]]) -> dict[str, int]:
    """How many rows each graph was given, all calls together."""
    total: dict[str, int] = {}
    for call in calls:
        first = call["dims"].get("point_labels") or next(iter(call["dims"].values()))
        total[call["graph"]] = total.get(call["graph"], 0) + first[0]
    return total


@pytest.mark.parametrize("shared_outline", [False, True])
@pytest.mark.parametrize("with_prior", [False, True])
def test_one_pass_gives_both_masks(port: Port, with_prior: bool, shared_outline: bool) -> None:
    """A decoder with `visible_logits` is asked once, with M_spec and gain 1."""
    content = manifest_content("roi", "roi", one_pass=True) | {"shared_outline": shared_outline}
    prior = PRIOR if with_prior else None
    expected, backend = by_python(content, BOX, None, prior)
    query = {"box": BOX, "points": [], "prior": None if prior is None else mask(prior)}
    got = port.call("segment", manifest=content, picture=picture(IMAGE), query=query)
    assert rows(got["calls"]) == {"prefix": 1, "suffix": 1, "decoder": 1}
    assert len(backend.calls) == 3
    np.testing.assert_array_equal(pixels(got["amodal"], HW), expected.amodal_masks[0])
    np.testing.assert_array_equal(pixels(got["visible"], HW), expected.visible_masks[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [({"mode": "full"}, "models of mode roi, got full"), ({"schema_version": 2}, "got 2")],
)
def test_models_that_the_page_cannot_run(port: Port, change: dict[str, Any], message: str) -> None:
    content = manifest_content("roi", "roi") | change
    query = {"box": BOX, "points": [], "prior": None}
    got = port.call("segment", manifest=content, picture=picture(IMAGE), query=query)
    assert message in got["error"]


def test_nothing_asked_for(port: Port) -> None:
    content = manifest_content("roi", "roi")
    query = {"box": None, "points": [], "prior": None}
    got = port.call("segment", manifest=content, picture=picture(IMAGE), query=query)
    assert "got neither" in got["error"]
    assert got["calls"] == []
