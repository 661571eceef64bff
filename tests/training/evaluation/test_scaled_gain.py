# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.evaluation.segmenters import with_scaled_gain, without_prior


class Recorder:
    name = "recorder"

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}

    def run(self, graph: str, inputs: dict[str, Any]) -> dict[str, Any]:
        self.inputs[graph] = inputs
        return {}


@pytest.mark.parametrize("graph", ["suffix", "decoder"])
def test_every_graph_with_adapters_gets_the_scaled_gain(graph: str) -> None:
    engine = Recorder()
    scaled: Any = with_scaled_gain(engine, 0.5)
    gains = np.array([0, 1], np.float32)
    scaled.run(graph, {"adapter_gain": gains, "features": gains})
    np.testing.assert_array_equal(engine.inputs[graph]["adapter_gain"], [0, 0.5])
    np.testing.assert_array_equal(engine.inputs[graph]["features"], [0, 1])


def test_graphs_without_adapters_get_what_they_were_given() -> None:
    engine = Recorder()
    scaled: Any = with_scaled_gain(engine, 0.0)
    scaled.run("prefix", {"image": np.ones(2, np.float32)})
    np.testing.assert_array_equal(engine.inputs["prefix"]["image"], [1, 1])


def test_a_model_that_was_trained_without_m_spec_gets_none() -> None:
    engine = Recorder()
    blank: Any = without_prior(engine)
    ones = np.ones(2, np.float32)
    blank.run("suffix", {"prior_masks": ones, "adapter_gain": ones})
    np.testing.assert_array_equal(engine.inputs["suffix"]["prior_masks"], [0, 0])
    np.testing.assert_array_equal(engine.inputs["suffix"]["adapter_gain"], [1, 1])
