# SPDX-License-Identifier: Apache-2.0
"""The real perception node as a process, with an engine that misbehaves when told to.

`python -m tests.ros.faults.fake_node [WARM_UP_SECONDS] --ros-args ...` reads commands from its
input, one a line: `delay SECONDS` of each engine call, `fail NUMBER` of engine calls (-1: all of
them), and `silence SECONDS` after which an input counts as silent, from the next activation on.
"""

from __future__ import annotations

import sys
import threading
import time

from amodal_ros.errors import BackendError
from amodal_ros.ros.inputs import camera_inputs
from amodal_ros.ros.node.node_process import run_lifecycle_node
from amodal_ros.ros.node.perception_node import PerceptionNode
from amodal_ros.types import AmodalPrediction
from tests.ros.fake_predictor import FakePredictor


class Engine:
    """What every predictor of this process does."""

    delay_s = 0.0
    failures = 0


class FaultyPredictor(FakePredictor):
    """Obeys the commands, and forgets what it was given: the process runs for long."""

    def warm_up(self) -> None:
        if sys.argv[1] != "--ros-args":
            time.sleep(float(sys.argv[1]))

    def predict(
        self, features, boxes_xyxy=None, prior_masks=None, *, points=None, small=None, tight=None
    ) -> AmodalPrediction:
        self.delay_s = Engine.delay_s
        self.images.clear()
        self.priors.clear()
        self.points.clear()
        if Engine.failures:
            Engine.failures -= 1
            raise BackendError("suffix failed: out of memory")
        return super().predict(
            features, boxes_xyxy, prior_masks, points=points, small=small, tight=tight
        )


def obey() -> None:
    """Read commands until standard input ends; each is confirmed on standard output."""
    for line in sys.stdin:
        name, value = line.split()
        if name == "delay":
            Engine.delay_s = float(value)
        elif name == "fail":
            Engine.failures = int(value)
        elif name == "silence":
            camera_inputs.SILENCE_S = float(value)
        print(f"obeyed {line.strip()}", flush=True)


if __name__ == "__main__":
    threading.Thread(target=obey, daemon=True).start()
    sys.exit(
        run_lifecycle_node(
            lambda: PerceptionNode(lambda parameters: FaultyPredictor()),
            None,
            lambda node: node.autostart,
        )
    )
