# SPDX-License-Identifier: Apache-2.0
"""An unsteady visible mask is asked for once more, off what hides the object, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.inference.graph_runner import Decoded
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.inference.prompts import DecoderPrompts
from amodal_ros.inference.second_question import second_prompts, steadier, steadiness
from tests.fakes import LOW, SIZE, FakeBackend, fake_manifest

HW = (90, 120)
BOXES = np.array([[10, 20, 50, 60], [60, 40, 110, 85], [5, 5, 40, 30]], np.float32)
WHOLE = ResizeGeometry.roi((64, 64), [0, 0, 64, 64], SIZE)
SURE, UNSURE = 5.0, 0.5


def logits(*places: tuple[slice, slice], value: float = SURE) -> np.ndarray:
    """(1, s, s): positive in some places."""
    found = np.full((1, LOW, LOW), -SURE, np.float32)
    for place in places:
        found[0][place] = value
    return found


AMODAL = logits((slice(4, 28), slice(4, 28)))
COVER = slice(4, 28), slice(12, 20)
SEEN = (slice(4, 28), slice(4, 12)), (slice(4, 28), slice(20, 28))


def decoded(*rows: tuple[np.ndarray, np.ndarray]) -> Decoded:
    amodal, visible = (np.stack(maps) for maps in zip(*rows, strict=True))
    return Decoded(amodal, np.full(len(rows), 0.5, np.float32), visible)


def boxes(*rows: int) -> DecoderPrompts:
    coords = np.tile(np.array([[8, 8], [56, 56]], np.float32), (len(rows), 1, 1))
    labels = np.tile(np.array([2, 3], np.float32), (len(rows), 1))
    return DecoderPrompts(np.array(rows, np.intp), coords, labels)


def test_steadiness_is_what_is_left_between_the_two_thresholds() -> None:
    half = np.maximum(logits(SEEN[0]), logits(SEEN[1], value=UNSURE))
    sure, unsure = logits(*SEEN), logits(*SEEN, value=UNSURE)
    assert steadiness(np.stack([sure, unsure, half, logits()]), 0.0).tolist() == [1, 0, 0.5, 1]
    assert steadiness(sure[None], SURE).tolist() == [0]  # about the threshold that is given


def test_an_unsteady_mask_is_asked_for_off_the_middle_of_what_is_hidden() -> None:
    first = decoded((AMODAL, logits(*SEEN)), (AMODAL, logits(*SEEN, value=UNSURE)))
    (group,) = second_prompts(first, [boxes(0, 1)], [WHOLE, WHOLE], 0.0)
    assert group.rows.tolist() == [1]
    assert group.labels.tolist() == [[2, 3, 0]]
    assert group.coords[0, :2].tolist() == [[8, 8], [56, 56]]
    x, y = group.coords[0, 2] / (SIZE / LOW)
    assert abs(x - 16) <= 1  # as far from the left as from the right part
    assert 7 <= y <= 25


def test_groups_stay_apart_and_keep_their_points() -> None:
    unsteady = AMODAL, logits(*SEEN, value=UNSURE)
    steady = AMODAL, logits(*SEEN)
    first = decoded(unsteady, steady, unsteady)
    alone = DecoderPrompts(
        np.array([1, 2], np.intp),
        np.array([[[3, 4], [0, 0]], [[5, 6], [0, 0]]], np.float32),
        np.array([[1, -1], [1, -1]], np.float32),
    )
    asked = second_prompts(first, [boxes(0), alone], [WHOLE] * 3, 0.0)
    assert [group.rows.tolist() for group in asked] == [[0], [2]]
    assert asked[1].labels.tolist() == [[1, -1, 0]]
    assert asked[1].coords[0, 0].tolist() == [5, 6]


@pytest.mark.parametrize(
    ("amodal", "visible"),
    [
        (AMODAL, logits(*SEEN, COVER, value=UNSURE)),  # nothing seems hidden
        (AMODAL, logits(*SEEN, (slice(5, 28), slice(12, 20)), value=UNSURE)),  # an outline
        (logits(), logits(*SEEN, value=UNSURE)),
        (logits(), logits()),
    ],
)
def test_where_too_little_seems_hidden_nothing_is_asked(amodal: Any, visible: Any) -> None:
    assert second_prompts(decoded((amodal, visible)), [boxes(0)], [WHOLE], 0.0) == []


def test_what_lies_outside_the_image_hides_nothing() -> None:
    """The region's right half is outside; the amodal mask goes on there, the visible does not."""
    visible = logits((slice(4, 28), slice(4, 16)), value=UNSURE)
    inside = ResizeGeometry.roi((64, 64), [0, 0, 64, 64], SIZE)
    assert second_prompts(decoded((AMODAL, visible)), [boxes(0)], [inside], 0.0)
    outside = ResizeGeometry((64, 64), (32, 0, 96, 64), (SIZE, SIZE), (SIZE, SIZE))
    assert second_prompts(decoded((AMODAL, visible)), [boxes(0)], [outside], 0.0) == []


def test_the_steadier_visible_mask_is_taken_and_the_amodal_one_stays() -> None:
    first = decoded(*[(AMODAL, logits(*SEEN, value=UNSURE))] * 3)
    steady, no_steadier = logits(*SEEN), logits(*SEEN, value=0.4)
    second = decoded((logits(), steady), (logits(), no_steadier))
    both = steadier(first, [boxes(0, 2)], second, SIZE, 0.0)
    assert both.visible_logits is not None
    assert first.visible_logits is not None
    assert np.array_equal(both.visible_logits[0], steady)
    assert np.array_equal(both.visible_logits[1:], first.visible_logits[1:])
    assert np.array_equal(both.logits, first.logits)
    assert both.predicted_iou is first.predicted_iou
    assert (first.visible_logits[0] == logits(*SEEN, value=UNSURE)).all()


@pytest.mark.parametrize(("columns", "taken"), [(24, True), (23, True), (20, False)])
def test_a_mask_that_leaves_its_box_is_not_taken(columns: int, taken: bool) -> None:
    """The box is 23.5 cells wide: 23 fit it as well as 24, and 20 do not."""
    first = decoded((AMODAL, logits(*SEEN, value=UNSURE)))
    left = logits((slice(4, 28), slice(4, 4 + columns)))
    (row,) = boxes(0).rows
    wide = DecoderPrompts(
        boxes(0).rows,
        np.array([[[9, 9], [8, 8], [55, 56]]], np.float32),  # a point first, as in SAM
        np.array([[0, 2, 3]], np.float32),
    )
    both = steadier(first, [wide], decoded((logits(), left)), SIZE, 0.0)
    assert both.visible_logits is not None
    assert np.array_equal(both.visible_logits[row], left) == taken


@pytest.mark.parametrize(("rows", "taken"), [(12, True), (11, False)])
def test_a_mask_of_which_most_is_lost_is_not_taken(rows: int, taken: bool) -> None:
    first = decoded((AMODAL, logits(*SEEN, value=UNSURE)))
    upper = logits((slice(4, 4 + rows), slice(4, 12)), (slice(4, 4 + rows), slice(20, 28)))
    rim = logits((slice(27, 28), slice(12, 20)))  # keeps the box
    both = steadier(first, [boxes(0)], decoded((logits(), np.maximum(upper, rim))), SIZE, 0.0)
    assert both.visible_logits is not None
    assert (both.visible_logits[0] != first.visible_logits[0]).any() == taken


def test_an_object_marked_by_points_has_no_box_to_leave() -> None:
    first = decoded((AMODAL, logits(*SEEN, value=UNSURE)))
    left = logits(SEEN[0])
    point = DecoderPrompts(
        np.array([0], np.intp),
        np.array([[[20, 20], [0, 0], [32, 32]]], np.float32),
        np.array([[1, -1, 0]], np.float32),
    )
    both = steadier(first, [point], decoded((logits(), left)), SIZE, 0.0)
    assert both.visible_logits is not None
    assert np.array_equal(both.visible_logits[0], left)


class _Unsteady(FakeBackend):
    """Visible masks are unsteady until a point off the object is given: then holes are in them."""

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = super().run(graph, inputs)
        if graph != "decoder":
            return found
        inside = found["visible_logits"]
        once = np.where(inside > 0, UNSURE, -SURE)
        hole = (inside == 2) & (np.arange(LOW) % 3 == 0)
        again = np.where((inside > 0) & ~hole, SURE, -SURE)
        asked = (inputs["point_labels"] == 0).any(axis=1)[:, None, None, None]
        return {**found, "visible_logits": np.where(asked, again, once).astype(np.float32)}


@pytest.mark.parametrize(("mode", "geometry"), [("full", "letterbox"), ("roi", "roi")])
def test_the_predictor_asks_twice_where_it_is_told_to(mode: str, geometry: str) -> None:
    manifest = fake_manifest(mode, geometry, one_pass=True)
    found, graphs = {}, {}
    for twice in (False, True):
        predictor = AmodalPredictor(manifest, _Unsteady(manifest), ask_twice=twice)
        image = np.full((*HW, 3), 100, np.uint8)
        found[twice] = predictor.predict(predictor.encode(image), BOXES)
        graphs[twice] = predictor.backend.graphs_run()
    assert graphs[False] == ["prefix", "suffix", "decoder"]
    assert graphs[True] == ["prefix", "suffix", "decoder", "decoder"]
    assert np.array_equal(found[True].raw_amodal_masks, found[False].raw_amodal_masks)
    once, again = (found[twice].visible_masks.sum(axis=(1, 2)) for twice in (False, True))
    assert (again < once).any()


def test_a_model_of_two_passes_is_asked_once() -> None:
    manifest = fake_manifest()
    predictor = AmodalPredictor(manifest, FakeBackend(manifest), ask_twice=True)
    predictor.predict(predictor.encode(np.full((*HW, 3), 100, np.uint8)), BOXES)
    assert predictor.backend.graphs_run().count("decoder") == 2
