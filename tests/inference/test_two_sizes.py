# SPDX-License-Identifier: Apache-2.0
"""Objects of one image at two sizes: each goes through its own graphs, the answer is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError, ManifestError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.object_features import ObjectFeatures
from amodal_ros.types import AmodalPrediction
from tests.fakes import SIZE, FakeBackend, fake_manifest

HW = (90, 120)
BOXES = np.array([[40, 30, 70, 60], [80, 20, 100, 40], [10, 40, 30, 70]], np.float32)
IMAGE = np.random.default_rng(3).integers(0, 255, (*HW, 3), dtype=np.uint8)


class TwoSizes:
    """A predictor of both sizes, and its two engines."""

    def __init__(self) -> None:
        full = fake_manifest("roi", "roi", one_pass=True)
        small = fake_manifest("roi", "roi", one_pass=True, size=SIZE // 2)
        self.full, self.small = FakeBackend(full), FakeBackend(small)
        self.of_small = AmodalPredictor(small, self.small)
        self.predictor = AmodalPredictor(full, self.full, small=self.of_small)

    def predict(self, boxes: np.ndarray = BOXES, small=None) -> AmodalPrediction:
        return self.predictor.predict(self.predictor.encode(IMAGE), boxes, small=small)

    def rows(self) -> tuple[int, int]:
        """Crops that each engine was given."""
        engines = (self.full, self.small)
        full, small = (
            sum(len(inputs["image"]) for graph, inputs in engine.calls if graph == "prefix")
            for engine in engines
        )
        return full, small


def test_each_object_at_its_size_in_its_place() -> None:
    two = TwoSizes()
    found = two.predict(small=[True, False, True])
    assert two.rows() == (1, 2)
    at_full = two.predict()
    at_small = two.of_small.predict(two.of_small.encode(IMAGE), BOXES)
    assert at_full.raw_amodal[0].iou(at_small.raw_amodal[0]) < 1
    for row, alone in enumerate((at_small, at_full, at_small)):
        assert found.raw_amodal[row].iou(alone.raw_amodal[row]) == 1
        assert found.visible[row].iou(alone.visible[row]) == 1
        assert found.predicted_iou[row] == alone.predicted_iou[row]
        values, geometry = found.features.of(row)
        wanted, place = alone.features.of(row)
        assert np.array_equal(values, wanted)
        assert geometry == place
    assert set(found.timings_ms) == set(at_full.timings_ms)


def test_one_size_alone_runs_alone() -> None:
    two = TwoSizes()
    two.predict(small=[True] * 3)
    assert two.rows() == (0, 3)
    two.predict(small=np.zeros(3, bool))
    assert two.rows() == (3, 3)
    assert len(two.predict(np.zeros((0, 4), np.float32), small=[])) == 0
    assert two.rows() == (3, 3)


def test_what_is_asked_wrongly_is_refused() -> None:
    two = TwoSizes()
    with pytest.raises(InvalidInputError, match=r"small: expected 3 entries, got \(2,\)"):
        two.predict(small=[True, False])
    assert two.predictor.looks_small
    assert two.predictor.small_size == SIZE // 2
    alone = two.of_small
    assert (alone.looks_small, alone.small_size) == (False, None)
    with pytest.raises(InvalidInputError, match="small: expected a model with a smaller size"):
        alone.predict(alone.encode(IMAGE), BOXES, small=[True, False, False])
    assert len(alone.predict(alone.encode(IMAGE), BOXES, small=[False] * 3)) == 3
    with pytest.raises(ManifestError, match="image_size: expected less than 32, got 64"):
        AmodalPredictor(alone.manifest, two.small, small=two.predictor)


def test_both_engines_are_warmed_interrupted_and_closed() -> None:
    two = TwoSizes()
    two.predictor.warm_up(2)
    assert two.rows() == (2, 2)
    two.predictor.interrupt()
    assert two.full.interrupted
    assert two.small.interrupted
    two.predictor.close()
    with pytest.raises(KeyError):
        two.small.run("prefix", {})


def test_a_second_look_in_full_size_replaces_a_small_one() -> None:
    two = TwoSizes()
    first, second = two.predict(small=[True] * 3), two.predict(BOXES[1:2])
    joined = first.with_rows(np.array([1]), second)
    shapes = [joined.features.of(row)[0].shape[-1] for row in range(3)]
    assert shapes == [SIZE // 2, SIZE, SIZE // 2]
    assert joined.raw_amodal[1] is second.raw_amodal[0]
    mixed = two.predict(small=[False, True, True])
    shapes = [mixed.with_rows(np.array([2]), second).features.of(r)[0].shape[-1] for r in range(3)]
    assert shapes == [SIZE, SIZE // 2, SIZE]


def test_embeddings_apart_are_checked() -> None:
    found = TwoSizes().predict(small=[True, False, False]).features
    assert found is not None
    with pytest.raises(InvalidInputError, match=r"values: expected N times \(C, s, s\) float32"):
        replace(found, values=tuple(np.float64(one) for one in found.values))
    with pytest.raises(InvalidInputError, match="values: expected 1 or 3 rows, got 2"):
        ObjectFeatures(found.values[:2], found.geometries)
