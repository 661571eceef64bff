# SPDX-License-Identifier: Apache-2.0
"""Objects followed by the model's own memory, on a model small enough to reason about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError, ManifestError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.memory import with_memory
from amodal_ros.types import PointPrompt
from tests.backends.tensorrt_support import Rig
from tests.fakes import fake_manifest
from tests.verification.fake_video import MANIFEST, MEMORY, FakeVideoBackend

HW = (64, 64)
BOXES = np.array([[4, 6, 24, 30], [30, 10, 50, 40], [8, 36, 40, 60]], np.float32)
ELSEWHERE = np.array([[40, 40, 60, 60]] * 3, np.float32)


def predictor(max_batch: int = 8, memory: Any = MEMORY) -> AmodalPredictor:
    return AmodalPredictor(MANIFEST, FakeVideoBackend(), max_batch, memory=memory)


def encoded(model: AmodalPredictor) -> Any:
    return model.encode(np.full((*HW, 3), 100, np.uint8))


def follow(model: AmodalPredictor, boxes: Any, memories: Any, prompted: Any = None, **more: Any):
    count = len(boxes)
    prompted = [False] * count if prompted is None else prompted
    return model.follow(encoded(model), boxes, [None] * count, memories, prompted, **more)


def test_an_object_goes_on_from_memory_until_a_prompt_sets_it_right() -> None:
    model = predictor()
    first = follow(model, BOXES, [None] * 3)
    assert [one.looks for one in first.remembered] == [1, 1, 1]
    second = follow(model, ELSEWHERE, first.remembered)
    for mask, before in zip(second.visible, first.visible, strict=True):
        np.testing.assert_array_equal(mask.full(), before.full())  # whatever the box says
    third = follow(model, ELSEWHERE, second.remembered, [False, True, False])
    moved = [bool(mask.full()[45:55, 45:55].all()) for mask in third.visible]
    assert moved == [False, True, False]
    kept = [(len(one.prompted), len(one.tracked)) for one in third.remembered]
    assert kept == [(1, 2), (2, 1), (1, 2)]
    assert third.features is not None
    assert len(third.features.values) == 1  # the image's own
    assert third.timings_ms["memory"] > 0


def test_both_passes_keep_their_own_masks() -> None:
    """M_spec leads to a larger amodal mask; the visible one stays in the box."""
    model = predictor()
    prior = np.zeros(HW, bool)
    prior[2:60, 2:60] = True
    found = model.follow(encoded(model), BOXES[:1], [prior], [None], [True])
    again = follow(model, ELSEWHERE[:1], found.remembered)
    assert found.raw_amodal[0].area > 2 * found.visible[0].area
    np.testing.assert_array_equal(again.visible_masks, found.visible_masks)
    assert again.raw_amodal[0].share_in(found.raw_amodal[0]) == 1.0
    assert again.raw_amodal[0].area > 2 * found.visible[0].area


@pytest.mark.parametrize("max_batch", [1, 2, 8])
def test_objects_of_any_age_share_a_frame(max_batch: int) -> None:
    model = predictor(max_batch)
    one = follow(model, BOXES[:1], [None])
    two = follow(model, BOXES[:2], [*one.remembered, None])
    points = [None, None, PointPrompt.from_points([[20, 50]])]
    three = follow(model, BOXES, [*two.remembered, None], points=points)
    for row in range(3):
        alone = follow(model, BOXES[row : row + 1], [None], points=[points[row]])
        np.testing.assert_array_equal(three.visible_masks[row], alone.visible_masks[0])
    assert [m.looks for m in three.remembered] == [3, 2, 1]
    assert isinstance(model.backend, FakeVideoBackend)
    rows = [len(inputs["embeddings"]) for graph, inputs in model.backend.calls if "_" in graph]
    assert max(rows) <= max_batch


def test_what_another_model_remembers_is_not_read() -> None:
    model = predictor()
    first = follow(model, BOXES, [None] * 3)
    strange = [replace(one, model="another") for one in first.remembered]
    found = follow(model, ELSEWHERE, strange)
    assert found.visible_masks[:, 45:55, 45:55].all()  # prompted by the boxes
    assert [one.looks for one in found.remembered] == [1, 1, 1]


def test_no_object_runs_no_engine() -> None:
    model = predictor()
    features = encoded(model)
    before = len(model.backend.calls)
    found = model.follow(features, np.zeros((0, 4), np.float32), [], [], [])
    assert (len(found), found.remembered) == (0, ())
    assert len(model.backend.calls) == before


def test_warm_up_runs_the_memory_too() -> None:
    model = predictor()
    model.warm_up()
    assert "memory_attention" in model.backend.graphs_run()


def test_refusals() -> None:
    model = predictor(memory=None)
    assert not model.remembers
    with pytest.raises(InvalidInputError, match="fake: expected memory graphs, got none"):
        follow(model, BOXES, [None] * 3)
    with pytest.raises(InvalidInputError, match="memories: expected 3 entries, got 2"):
        follow(predictor(), BOXES, [None] * 2)
    with pytest.raises(InvalidInputError, match="prompted: expected 3 entries, got 1"):
        follow(predictor(), BOXES, [None] * 3, [True])


def test_graphs_that_do_not_fit_are_named() -> None:
    decoder = MEMORY.graphs["memory_decoder"]
    less = replace(decoder, inputs=decoder.inputs[:-1])
    fewer = replace(MEMORY, graphs={**MEMORY.graphs, "memory_decoder": less})
    with pytest.raises(ManifestError, match=r"memory_decoder inputs: expected .*'multimask'"):
        predictor(memory=fewer)
    less = replace(decoder, outputs=decoder.outputs[:-1])
    fewer = replace(MEMORY, graphs={**MEMORY.graphs, "memory_decoder": less})
    with pytest.raises(ManifestError, match=r"memory_decoder outputs: expected .*'object_score'"):
        predictor(memory=fewer)
    with pytest.raises(ManifestError, match="expected a model of mode full, got roi"):
        AmodalPredictor(fake_manifest("roi", "roi"), FakeVideoBackend(), memory=MEMORY)


def test_what_lies_on_a_gpu_is_followed_alike(tmp_path: Path) -> None:
    """TensorRT's backend, whose graphs hand each other tensors on a GPU, here a fake one."""
    rig = Rig(with_memory(MANIFEST, MEMORY), tmp_path)
    rig.trt.model = FakeVideoBackend()
    on_gpu = AmodalPredictor(MANIFEST, rig.backend, 2, memory=MEMORY)
    memories: list[list[Any]] = [[None], [None]]
    for count in (1, 2, 3, 3):
        found = []
        for place, model in enumerate((predictor(2), on_gpu)):
            known = [*memories[place], *[None] * count][:count]
            found.append(follow(model, BOXES[:count], known))
            memories[place] = list(found[-1].remembered)
        np.testing.assert_array_equal(found[0].raw_amodal_masks, found[1].raw_amodal_masks)
        np.testing.assert_array_equal(found[0].visible_masks, found[1].visible_masks)
    rig.backend.close()
    assert rig.cuda.memory == {}
