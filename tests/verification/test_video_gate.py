# SPDX-License-Identifier: Apache-2.0
"""The gate of the video path: every graph's own fault is told from that of the others."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.verification.gate import run_gate
from amodal_ros.verification.measures import Limits
from amodal_ros.verification.reference import Scene
from amodal_ros.verification.video_gate import FRAMES, VIDEO, compare_video
from tests.verification.fake_video import MANIFEST, MEMORY, FakeVideoBackend

BOXES = np.array([[8, 8, 40, 44], [20, 4, 58, 30], [2, 30, 30, 62]], dtype=np.float32)
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
SCENE = Scene("scene", IMAGE, BOXES)


class Wrong(FakeVideoBackend):
    """One output of one graph is another."""

    def __init__(self, graph: str, output: str, change) -> None:
        super().__init__()
        self._wrong = graph, output, change

    def run(self, graph, inputs):
        outputs = super().run(graph, inputs)
        wrong, output, change = self._wrong
        if graph == wrong:
            outputs[output] = change(outputs[output])
        return outputs


def video_rows(candidate, max_batch: int = 8):
    return compare_video(MANIFEST, MEMORY, candidate, FakeVideoBackend(), SCENE, max_batch)


@pytest.mark.parametrize("max_batch", [1, 4, 8])
def test_equal_engines_agree_in_masks_of_something(max_batch: int) -> None:
    rows = video_rows(FakeVideoBackend(), max_batch)
    assert [row.part for row in rows] == [*MEMORY.graphs, VIDEO]
    for row in rows:
        assert row.comparison.passes(Limits(1.0, 1.0, 1.0, 1.0, 0.0)), str(row)
        assert row.not_finite == ()
    assert [row.logit_error for row in rows] == [0.0, 0.0, 0.0, None]
    # Were the masks empty, the next one would pass as well.
    shrunk = Wrong("memory_attention", "conditioned", lambda v: v * (np.arange(64) < 24))
    assert video_rows(shrunk, max_batch)[0].comparison.mean_iou < 0.9


def test_graphs_are_given_what_sam2_gives_them() -> None:
    engine = FakeVideoBackend()
    compare_video(MANIFEST, MEMORY, engine, engine, SCENE, 8)
    calls = [(graph, inputs) for graph, inputs in engine.calls if graph in MEMORY.graphs]
    graphs = ["memory_decoder", "memory_encoder"]
    tracked = ["memory_attention", *graphs]
    first = calls[: 2 + 3 * (FRAMES - 1)]
    assert [graph for graph, _ in first] == [*graphs, *tracked * (FRAMES - 1)]
    decoders = [inputs for graph, inputs in first if graph == "memory_decoder"]
    assert all(len(inputs["embeddings"]) == 2 * len(BOXES) for inputs in decoders)
    assert [inputs["without_memory"].tolist() for inputs in decoders] == [
        [1.0] * 6,
        [0.0] * 6,
        [0.0] * 6,
    ]
    assert [set(inputs["multimask"].tolist()) for inputs in decoders] == [{0.0}, {1.0}, {1.0}]
    assert (decoders[0]["point_labels"][0] >= 2).sum() == 2
    assert (decoders[1]["point_labels"] == -1).all()
    encoders = [inputs for graph, inputs in first if graph == "memory_encoder"]
    assert [set(inputs["prompted"].tolist()) for inputs in encoders] == [{1.0}, {0.0}, {0.0}]
    one, two = (inputs for graph, inputs in first if graph == "memory_attention")
    assert (one["memory_ages"][0].tolist(), one["pointer_ages"][0].tolist()) == ([7.0], [1.0])
    assert (two["memory_ages"][0].tolist(), two["pointer_ages"][0].tolist()) == (
        [7.0, 1.0],
        [2.0, 1.0],
    )
    np.testing.assert_array_equal(two["embeddings"], one["embeddings"])
    assert two["memories"].shape[:2] == (6, 2)


@pytest.mark.parametrize(
    ("graph", "output"),
    [
        ("memory_attention", "conditioned"),
        ("memory_encoder", "memory"),
        ("memory_decoder", "low_res_logits"),
    ],
)
def test_a_wrong_graph_is_named(graph: str, output: str) -> None:
    wrong = Wrong(graph, output, lambda values: values * (np.arange(values.shape[-1]) % 3 > 0))
    report = run_gate(MANIFEST, wrong, FakeVideoBackend(), [SCENE], memory=MEMORY, max_batch=4)
    assert [line.split(":")[0] for line in report.failures()] == [
        f"scene, {graph}",
        f"scene, {VIDEO}",
    ]
    (row,) = (row for row in report.rows if row.part == graph)
    assert row.logit_error is not None
    assert row.logit_error > 0.05


def test_what_is_not_finite_is_named() -> None:
    rows = video_rows(Wrong("memory_encoder", "memory", lambda values: values * np.nan))
    found = {row.part: row.not_finite for row in rows}
    assert found["memory_attention"] == ()
    assert found["memory_encoder"] == ("memory_encoder.memory",)
    assert "memory_encoder.memory" in found[VIDEO]
    assert {row.part: row.logit_error for row in rows}["memory_encoder"] == np.inf
