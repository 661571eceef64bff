# SPDX-License-Identifier: Apache-2.0
"""The TensorRT backend on a fake GPU that works late and forgets nothing."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from amodal_ros.backends.base import RowRuns
from amodal_ros.backends.tensorrt.engine_cache import EngineSet
from amodal_ros.backends.tensorrt.tensors import DeviceTensor
from amodal_ros.errors import BackendError, ManifestError
from amodal_ros.inference.predictor import AmodalPredictor
from tests.backends.tensorrt_support import Rig
from tests.fakes import SIZE, FakeBackend, fake_manifest

BOXES = np.array([[5, 6, 30, 40], [20, 10, 60, 44], [1, 1, 9, 50]], dtype=np.float32)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(fake_manifest(), tmp_path)


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def tensors(seed: int, rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "features": random.random((1, 1, SIZE, SIZE), dtype=np.float32),
        "prior_masks": random.random((rows, 1, SIZE, SIZE), dtype=np.float32),
        "adapter_gain": random.random(rows, dtype=np.float32),
    }


@pytest.mark.parametrize("mode", ["full", "roi"])
def test_predictions_are_those_of_the_model(tmp_path: Path, mode: str) -> None:
    manifest = fake_manifest(mode, "roi" if mode == "roi" else "letterbox")
    rig = Rig(manifest, tmp_path)
    ours = AmodalPredictor(manifest, rig.backend, max_batch=4)
    theirs = AmodalPredictor(manifest, FakeBackend(manifest), max_batch=4)
    for seed, count in ((0, 3), (1, 1), (2, 2), (3, 3)):
        found = ours.predict(ours.encode(image(seed)), BOXES[:count])
        wanted = theirs.predict(theirs.encode(image(seed)), BOXES[:count])
        np.testing.assert_array_equal(found.raw_amodal_masks, wanted.raw_amodal_masks)
        np.testing.assert_array_equal(found.visible_masks, wanted.visible_masks)
        np.testing.assert_array_equal(found.predicted_iou, wanted.predicted_iou)


def test_more_objects_than_the_engine_takes_are_split(rig: Rig) -> None:
    predictor = AmodalPredictor(rig.manifest, rig.backend, max_batch=4)
    boxes = np.tile(BOXES, (4, 1))
    found = predictor.predict(predictor.encode(image(0)), boxes)
    other = AmodalPredictor(rig.manifest, FakeBackend(rig.manifest), max_batch=16)
    wanted = other.predict(other.encode(image(0)), boxes)
    np.testing.assert_array_equal(found.raw_amodal_masks, wanted.raw_amodal_masks)


def test_memory_is_allocated_once_whatever_the_number_of_objects(rig: Rig) -> None:
    predictor = AmodalPredictor(rig.manifest, rig.backend, max_batch=4)
    for count in (1, 3, 2):
        predictor.predict(predictor.encode(image(0)), BOXES[:count])
    before = rig.cuda.calls.count("allocate")
    for count in (1, 3, 2, 3, 1):
        predictor.predict(predictor.encode(image(count)), BOXES[:count])
    assert rig.cuda.calls.count("allocate") == before


def test_what_one_graph_gives_the_next_stays_on_the_gpu(rig: Rig) -> None:
    features = rig.backend.run("prefix", {"image": np.ones((1, 3, SIZE, SIZE), np.float32)})
    given = tensors(0, 2)
    rig.cuda.calls.clear()
    embeddings = rig.backend.run("suffix", {**given, **features})["embeddings"]
    assert isinstance(embeddings, DeviceTensor)
    assert rig.cuda.calls.count("upload") == 2  # the priors and the gains, not the features
    rig.cuda.calls.clear()
    prompts = {
        "point_coords": np.ones((1, 1, 2), np.float32),
        "point_labels": np.ones((1, 1), np.float32),
    }
    logits = rig.backend.run("decoder", {"embeddings": embeddings[1:], **prompts})
    assert rig.cuda.calls.count("upload") == 2
    assert rig.cuda.calls.count("download") == 2
    model = FakeBackend(rig.manifest)
    ones = {"features": np.ones((1, 1, SIZE, SIZE), np.float32)}
    both = model.run("suffix", {**given, **ones})["embeddings"]
    wanted = model.run("decoder", {"embeddings": both[1:], **prompts})
    np.testing.assert_array_equal(logits["low_res_logits"], wanted["low_res_logits"])
    assert wanted["predicted_iou"] != pytest.approx(both[0, 1].mean())  # the right row


@pytest.mark.parametrize("mode", ["full", "roi"])
@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_nothing_between_image_and_masks_crosses_the_bus(
    tmp_path: Path, mode: str, count: int
) -> None:
    """Also where rows of several calls are joined: four objects are five rows or eight."""
    manifest = fake_manifest(mode, "roi" if mode == "roi" else "letterbox")
    rig = Rig(manifest, tmp_path)
    boxes = np.tile(BOXES, (3, 1))[:count]
    ours = AmodalPredictor(manifest, rig.backend, max_batch=4)
    theirs = AmodalPredictor(manifest, FakeBackend(manifest), max_batch=4)
    found = ours.predict(ours.encode(image(0)), boxes)
    wanted = theirs.predict(theirs.encode(image(0)), boxes)
    np.testing.assert_array_equal(found.raw_amodal_masks, wanted.raw_amodal_masks)
    np.testing.assert_array_equal(found.visible_masks, wanted.visible_masks)
    runs = {graph: rig.trt.enqueued.count(graph) for graph in manifest.graphs}
    inputs = {"prefix": 1, "suffix": 2, "decoder": 2}  # image; priors, gains; points, labels
    calls = rig.cuda.calls
    assert calls.count("upload") == sum(inputs[graph] * n for graph, n in runs.items())
    assert calls.count("download") == 2 * runs["decoder"]  # logits and predicted IoU


def test_rows_of_several_places_are_joined_on_the_gpu(rig: Rig) -> None:
    rows = [tensors(seed, n) for seed, n in ((0, 1), (1, 3))]
    parts = [rig.backend.run("suffix", given)["embeddings"] for given in rows]
    host = np.concatenate([np.asarray(part) for part in parts])
    runs = RowRuns([parts[0], RowRuns([parts[1]])])
    assert (runs.shape, len(runs), runs.dtype) == (host.shape, 4, host.dtype)
    np.testing.assert_array_equal(np.asarray(runs), host)
    np.testing.assert_array_equal(runs[[3, 0]], host[[3, 0]])
    np.testing.assert_array_equal(np.asarray(runs[2:2]), host[2:2])
    assert isinstance(runs[1:3], DeviceTensor)
    np.testing.assert_array_equal(np.asarray(runs[1:3]), host[1:3])
    rig.cuda.calls.clear()
    prompts = {
        "point_coords": np.ones((3, 1, 2), np.float32),
        "point_labels": np.ones((3, 1), np.float32),
    }
    found = rig.backend.run("decoder", {"embeddings": runs[0:3], **prompts})
    assert rig.cuda.calls.count("copy") == 2
    assert rig.cuda.calls.count("download") == 2
    wanted = FakeBackend(rig.manifest).run("decoder", {"embeddings": host[:3], **prompts})
    np.testing.assert_array_equal(found["predicted_iou"], wanted["predicted_iou"])


def test_tensors_on_the_gpu_are_arrays_to_numpy(rig: Rig) -> None:
    given = tensors(1, 4)
    found = rig.backend.run("suffix", given)["embeddings"]
    wanted = FakeBackend(rig.manifest).run("suffix", given)["embeddings"]
    assert (found.shape, found.ndim, len(found), found.dtype) == (wanted.shape, 4, 4, np.float32)
    np.testing.assert_array_equal(np.asarray(found), wanted)
    np.testing.assert_array_equal(np.asarray(found[1:3]), wanted[1:3])
    np.testing.assert_array_equal(np.asarray(found[1:3][1:]), wanted[2:3])
    np.testing.assert_array_equal(np.asarray(found[3:1]), wanted[3:1])
    np.testing.assert_array_equal(found[[2, 0]], wanted[[2, 0]])
    np.testing.assert_array_equal(found[::2], wanted[::2])
    np.testing.assert_array_equal(np.concatenate([found, found]), np.concatenate([wanted] * 2))
    np.testing.assert_array_equal(np.repeat(found, 2, axis=0), np.repeat(wanted, 2, axis=0))
    assert np.asarray(found, dtype=np.float64).dtype == np.float64


def test_a_tensor_keeps_its_memory_until_it_is_gone(rig: Rig) -> None:
    frames = [np.full((1, 3, SIZE, SIZE), value, np.float32) for value in (1, 2, 3)]
    first, second = (rig.backend.run("prefix", {"image": f})["features"] for f in frames[:2])
    assert np.asarray(first).max() == 1
    assert np.asarray(second).min() == 2
    part, address = first[0:1], first.address
    del first
    third = rig.backend.run("prefix", {"image": frames[2]})["features"]
    assert third.address != address
    assert np.asarray(part).max() == 1
    del part
    assert rig.backend.run("prefix", {"image": frames[2]})["features"].address == address


def test_repeated_shapes_become_cuda_graphs(rig: Rig) -> None:
    model = FakeBackend(rig.manifest)
    for seed in range(5):
        for rows in (2, 3):
            given = tensors(seed, rows)
            found = rig.backend.run("suffix", given)["embeddings"]
            wanted = model.run("suffix", given)["embeddings"]
            np.testing.assert_array_equal(np.asarray(found), wanted)
            del found
    # Of each number of rows the first run is plain, the second is captured, the others launched.
    assert rig.cuda.calls.count("capture") == 2
    assert rig.cuda.calls.count("launch") == 8
    assert rig.trt.enqueued.count("suffix") == 4


def test_tensorrt_for_rtx_captures_by_itself_and_keeps_kernels(tmp_path: Path) -> None:
    rig = Rig(fake_manifest(), tmp_path, "tensorrt_rtx")
    for seed in range(4):
        rig.backend.run("suffix", tensors(seed, 2))
    assert "capture" not in rig.cuda.calls
    assert rig.trt.configs["suffix"].cuda_graph_strategy == "whole graph"
    assert rig.trt.configs["suffix"].cache.loaded is None
    rig.backend.close()
    assert (tmp_path / "suffix.kernels").read_bytes() == b"kernels"
    rig.open()
    assert rig.trt.configs["suffix"].cache.loaded == b"kernels"


def test_the_prefix_of_the_next_frame_runs_while_the_suffix_does(rig: Rig) -> None:
    """The suffix waits, in the middle of its work, for a prefix that another thread asks for."""
    model, prefix_done = rig.trt.model, threading.Event()
    compute = model.run

    def run(graph, inputs):
        if graph == "suffix":
            assert prefix_done.wait(60), "the prefix waits for the suffix"
        outputs = compute(graph, inputs)
        if graph == "prefix":
            prefix_done.set()
        return outputs

    model.run = run
    results = []
    suffix = threading.Thread(
        target=lambda: results.append(rig.backend.run("suffix", tensors(0, 2)))
    )
    suffix.start()
    rig.backend.run("prefix", {"image": np.ones((1, 3, SIZE, SIZE), np.float32)})
    suffix.join(5)
    assert len(results) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prior_masks": np.ones((5, 1, SIZE, SIZE), np.float32)}, "1 to 4 rows, got 5"),
        ({"prior_masks": np.ones((0, 1, SIZE, SIZE), np.float32)}, "1 to 4 rows, got 0"),
        ({"prior_masks": np.ones((2, 1, SIZE, 9), np.float32)}, "prior_masks: expected shape"),
        ({"features": np.ones((1, 1, SIZE, SIZE))}, "features: expected float32"),
    ],
)
def test_inputs_that_do_not_fit(rig: Rig, change, message: str) -> None:
    inputs = {**tensors(0, 2), **change}
    rows = len(inputs["prior_masks"])
    inputs["adapter_gain"] = np.ones(rows, np.float32)
    with pytest.raises(BackendError, match=message):
        rig.backend.run("suffix", inputs)


def test_too_many_points(rig: Rig) -> None:
    inputs = {
        "embeddings": np.ones((1, 2, SIZE, SIZE), np.float32),
        "point_coords": np.ones((1, 4, 2), np.float32),
        "point_labels": np.ones((1, 4), np.float32),
    }
    with pytest.raises(BackendError, match=r"1 to 3 points, got 4; .* --max-points"):
        rig.backend.run("decoder", inputs)


def test_failure_of_the_engine_comes_with_its_reason(rig: Rig) -> None:
    rig.trt.contexts["suffix"].failing = True
    with pytest.raises(BackendError, match=r"suffix: TensorRT cannot run .* fake context fails"):
        rig.backend.run("suffix", tensors(0, 1))
    # Also while it is captured, after which the stream is usable again.
    with pytest.raises(BackendError, match="fake context fails"):
        rig.backend.run("suffix", tensors(0, 1))
    assert rig.cuda.calls.count("capture") == 1
    assert rig.cuda.graphs == {}
    rig.trt.contexts["suffix"].failing = False
    found = rig.backend.run("suffix", tensors(1, 1))["embeddings"]
    wanted = FakeBackend(rig.manifest).run("suffix", tensors(1, 1))["embeddings"]
    np.testing.assert_array_equal(np.asarray(found), wanted)


def test_engine_that_cannot_be_captured_runs_without_cuda_graphs(rig: Rig, caplog) -> None:
    rig.trt.contexts["suffix"].failing_in_capture = True
    model = FakeBackend(rig.manifest)
    with caplog.at_level("INFO"):
        for seed in range(4):
            found = rig.backend.run("suffix", tensors(seed, 2))["embeddings"]
            wanted = model.run("suffix", tensors(seed, 2))["embeddings"]
            np.testing.assert_array_equal(np.asarray(found), wanted)
            del found
    assert caplog.text.count("suffix: runs without CUDA graphs") == 1
    assert rig.cuda.calls.count("capture") == 1
    assert rig.cuda.graphs == {}


def test_engine_of_another_version_is_refused(rig: Rig, monkeypatch) -> None:
    monkeypatch.setattr(EngineSet, "read", lambda *_: b"rubbish")
    with pytest.raises(BackendError, match="refuses the engine: magic tag does not match"):
        rig.open()


def test_engine_of_other_types_is_refused(rig: Rig) -> None:
    rig.trt.dtypes["features"] = "HALF"
    with pytest.raises(BackendError, match=r"prefix: the engine has .*'features': 'HALF'"):
        rig.open()


def test_altered_engine_is_refused(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "decoder.engine").write_bytes(b"decodes")
    with pytest.raises(ManifestError, match=r"decoder\.engine: expected sha256"):
        rig.open()


def test_close_frees_everything_and_ends_all_use(rig: Rig) -> None:
    features = rig.backend.run("prefix", {"image": np.ones((1, 3, SIZE, SIZE), np.float32)})
    for seed in range(3):
        rig.backend.run("suffix", tensors(seed, 2))
    rig.backend.close()
    rig.backend.close()
    assert (rig.cuda.memory, rig.cuda.streams, rig.cuda.graphs) == ({}, {}, {})
    with pytest.raises(BackendError, match="not loaded"):
        rig.backend.run("suffix", tensors(0, 2))
    with pytest.raises(BackendError, match="has been closed"):
        np.asarray(features["features"])


def test_interrupted_backend_refuses_to_run(rig: Rig) -> None:
    rig.backend.interrupt()
    with pytest.raises(BackendError, match="interrupted"):
        rig.backend.run("suffix", tensors(0, 1))
