# SPDX-License-Identifier: Apache-2.0
"""The tracker and a model with a memory of its own: who is asked how, and what is kept."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from amodal_ros.errors import BackendError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.object_memory import ObjectMemory
from amodal_ros.tracking.asking import ask
from amodal_ros.tracking.budget import part_of
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject, TrackerConfig, TrackPlan
from amodal_ros.types import AmodalPrediction, Detections
from tests.fakes import FakeBackend, fake_manifest
from tests.tracking.tracker_support import HW, A, B, Box, see
from tests.verification.fake_video import MANIFEST, MEMORY, FakeVideoBackend


class Stream:
    """A tracker that asks the small model, a tenth of a second from frame to frame."""

    def __init__(self, memory: bool = True, **config: float) -> None:
        # The small model's own estimate means nothing.
        self.tracker = AmodalTracker(TrackerConfig(**{"min_predicted_iou": 0.0, **config}))
        self.backend: FakeBackend = FakeVideoBackend() if memory else FakeBackend(MANIFEST)
        manifest = MANIFEST if memory else fake_manifest()
        given = MEMORY if memory else None
        self.predictor = AmodalPredictor(manifest, self.backend, memory=given)
        self.stamp_s = 0.0
        self.plan: TrackPlan | None = None

    def asked(self, found: Detections) -> tuple[TrackPlan, AmodalPrediction]:
        self.stamp_s += 0.1
        image = np.zeros((*HW, 3), np.uint8)
        for x0, y0, x1, y1 in (A, B):  # bright on dark: the encoder tells them from what is around
            image[y0:y1, x0:x1] = 255
        plan = self.tracker.plan(found, self.stamp_s, HW)
        return plan, ask(self.predictor, self.predictor.encode(image), plan)

    def frame(self, *boxes: Box, ids: tuple[str, ...] = ()) -> tuple[TrackedObject, ...]:
        found = see(*boxes, detection_ids=ids) if ids else see(*boxes)
        self.plan, prediction = self.asked(found)
        assert self.tracker.look_again(self.plan, prediction) is None
        return self.tracker.update(self.plan, prediction)

    def memory(self, row: int = 0) -> ObjectMemory:
        assert self.plan is not None
        memory = self.tracker.plan(see(), self.stamp_s, HW).model_memories[row]
        assert memory is not None
        return memory


def near(box: Box, pixels: int = 2) -> Box:
    return box[0] + pixels, box[1], box[2] + pixels, box[3]


def middle(one: TrackedObject) -> float:
    return (one.visible.box_xyxy[0] + one.visible.box_xyxy[2]) / 2


def test_a_detection_begins_an_object_and_then_names_it_only() -> None:
    stream = Stream()
    (first,) = stream.frame(A)
    (second,) = stream.frame(near(A, 4))
    assert second.track_id == first.track_id
    assert not second.coasting
    assert middle(second) == middle(first)  # the model's memory, not the box
    memory = stream.memory()
    assert (len(memory.prompted), len(memory.tracked)) == (1, 1)


def test_without_a_detection_it_is_followed_from_memory_never_prompted() -> None:
    stream = Stream()
    (first,) = stream.frame(A)
    for _ in range(5):
        (one,) = stream.frame()
        assert one.visible.iou(first.visible) > 0.8  # cells of two pixels
    assert one.coasting
    assert stream.memory().looks == 6
    assert len(stream.memory().prompted) == 1


def test_a_detection_elsewhere_sets_it_right() -> None:
    stream = Stream()
    (first,) = stream.frame(A, ids=("cup",))
    (second,) = stream.frame(B, ids=("cup",))
    assert second.track_id == first.track_id
    assert middle(second) == pytest.approx((B[0] + B[2]) / 2, abs=2)
    assert len(stream.memory().prompted) == 2


def test_objects_enter_and_leave_and_their_memory_with_them() -> None:
    stream = Stream()
    stream.frame(A)
    a, b = stream.frame(A, B)
    assert [stream.memory(row).looks for row in range(2)] == [2, 1]
    assert stream.tracker.status().remembered == 2
    held = stream.tracker.status().memory_bytes
    stream.tracker.remove_object(a.track_id)
    assert stream.tracker.status().remembered == 1
    assert 0 < stream.tracker.status().memory_bytes < held
    (left,) = stream.frame(B)
    assert left.track_id == b.track_id


def test_a_jump_of_time_and_a_reset_forget_it() -> None:
    stream = Stream()
    stream.frame(A)
    stream.stamp_s = -50.0
    (one,) = stream.frame(A)
    assert stream.memory().looks == 1
    assert one.track_id == 1
    stream.tracker.reset()
    assert stream.tracker.status().memory_bytes == 0


def test_a_stream_of_any_length_remembers_as_much() -> None:
    stream, held = Stream(max_coast=-1.0, max_drift=-1.0), []
    stream.frame(A)
    for _ in range(40):
        stream.frame()
        held.append(stream.tracker.status().memory_bytes)
    assert held[-1] == held[20] == max(held)


def test_a_frame_that_failed_changes_nothing() -> None:
    stream = Stream()
    stream.frame(A)
    before = stream.memory()

    def fail(graph: str, inputs: object) -> dict[str, np.ndarray]:
        raise BackendError("the engine fails")

    run, stream.backend.run = stream.backend.run, fail
    with pytest.raises(BackendError):
        stream.frame(A)
    stream.backend.run = run
    assert stream.memory() is before
    stream.frame(A)
    assert stream.memory().looks == 2


def test_an_answer_that_comes_late_is_remembered() -> None:
    """As the frame budget has it: the object is carried, and the look settled afterwards."""
    stream = Stream()
    stream.frame(A)
    plan, prediction = stream.asked(see(A))
    empty = part_of(plan, np.zeros(0, np.intp))
    stream.tracker.update(empty, AmodalPrediction.empty(HW), plan)
    poses = stream.tracker.poses(plan)
    assert stream.memory().looks == 1
    stream.tracker.settle(plan, prediction, poses)
    assert stream.memory().looks == 2


def test_an_object_given_by_a_user_is_prompted_once() -> None:
    stream = Stream()
    stream.tracker.add_object(A)
    stream.frame()
    stream.frame()
    memory = stream.memory()
    assert (len(memory.prompted), len(memory.tracked)) == (1, 1)


def test_another_model_begins_anew_and_the_identity_stays() -> None:
    stream = Stream()
    (first,) = stream.frame(A)
    other = replace(
        MEMORY.graphs["memory_encoder"],
        file=replace(MEMORY.graphs["memory_encoder"].file, sha256="1" * 64),
    )
    changed = replace(MEMORY, graphs={**MEMORY.graphs, "memory_encoder": other})
    stream.predictor = AmodalPredictor(MANIFEST, stream.backend, memory=changed)
    (second,) = stream.frame(A)
    assert second.track_id == first.track_id
    memory = stream.memory()
    assert (memory.model, memory.looks) == ("1" * 64, 1)


def test_after_drift_the_next_detection_prompts_and_no_forecast_does() -> None:
    stream = Stream(min_predicted_iou=0.9)
    stream.frame(A)
    stream.frame(A)  # its mask comes from a mask, and the model doubts it
    stream.frame()
    assert [one.number for one in stream.memory().prompted] == [0]
    stream.frame(A)
    stream.frame(A)
    assert len(stream.memory().prompted) == 2


def test_a_memory_that_is_switched_off_is_forgotten() -> None:
    stream = Stream()
    stream.frame(A)
    stream.predictor = AmodalPredictor(MANIFEST, stream.backend)
    stream.frame(A)
    assert stream.tracker.status().memory_bytes == 0


def test_a_model_without_a_memory_is_asked_as_ever() -> None:
    stream = Stream(memory=False)
    stream.frame(A)
    stream.frame(A)
    assert set(stream.backend.graphs_run()) == {"prefix", "suffix", "decoder"}
    assert stream.tracker.status().remembered == 0


def test_a_kept_tracker_keeps_it() -> None:
    stream = Stream()
    stream.frame(A)
    kept = pickle.loads(pickle.dumps(stream.tracker))
    assert kept.status() == stream.tracker.status()
    assert kept.status().remembered == 1
