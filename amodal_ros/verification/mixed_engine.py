# SPDX-License-Identifier: Apache-2.0
"""Graphs in two engines at once: those under test in one, the others in fp32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from amodal_ros.backends.base import Backend
from amodal_ros.inference.graph_runner import VISIBLE_LOGITS


class MixedEngine:
    """An engine that runs some graphs in the engine under test, and notes what comes out.

    Args:
        candidate: the engine under test.
        fp32: runs the others; None: all graphs are under test.
        tested: names of the graphs under test.
    """

    name = "gate"

    def __init__(self, candidate: Backend, fp32: Backend | None, tested: frozenset[str]) -> None:
        self._candidate, self._fp32, self._tested = candidate, fp32, tested
        self._not_finite: dict[str, None] = {}
        self.logits: list[np.ndarray] = []

    @property
    def not_finite(self) -> tuple[str, ...]:
        """Outputs of the engine under test that held NaN or infinity."""
        return tuple(self._not_finite)

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs a graph where it belongs; see `Backend.run`."""
        tested = graph in self._tested or self._fp32 is None
        engine = self._candidate if tested or self._fp32 is None else self._fp32
        outputs = {name: np.asarray(v) for name, v in engine.run(graph, inputs).items()}
        if tested:
            for name, values in outputs.items():
                if not np.isfinite(values).all():
                    self._not_finite[f"{graph}.{name}"] = None
        if graph == "decoder":
            self.logits += [outputs[n] for n in ("low_res_logits", VISIBLE_LOGITS) if n in outputs]
        return outputs

    def interrupt(self) -> None:
        """Asks both engines to end; see `Backend.interrupt`."""
        self._candidate.interrupt()
        if self._fp32 is not None:
            self._fp32.interrupt()

    def close(self) -> None:
        """The engines belong to the caller."""
