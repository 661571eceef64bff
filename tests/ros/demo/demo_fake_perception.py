# SPDX-License-Identifier: Apache-2.0
"""The demo command, but its perception node has the tests' fast predictor instead of a model.

`python -m tests.ros.demo.demo_fake_perception demo ARGUMENTS` runs the demo, which starts this
file again as its perception process. FAKE_DELAY_S slows every answer down.
"""

from __future__ import annotations

import os
import sys

from amodal_ros.ros.demo import __main__ as demo
from amodal_ros.ros.demo import run as demo_run
from amodal_ros.ros.demo.cast import Part


def perceive(command_line: list[str]) -> int:
    """The real node and process with a fake predictor."""
    from amodal_ros.ros.node.node_process import run_lifecycle_node
    from amodal_ros.ros.node.perception_node import PerceptionNode
    from tests.ros.fake_predictor import FakePredictor

    predictor = FakePredictor()
    predictor.delay_s = float(os.environ.get("FAKE_DELAY_S", "0"))
    return run_lifecycle_node(
        lambda: PerceptionNode(make_predictor=lambda parameters: predictor),
        command_line,
        autostart=lambda node: node.autostart,
    )


def run_demo_command(arguments: list[str]) -> int:
    """The demo's own `main`."""
    real_command = demo_run.command_of
    real, fake = "amodal_ros.ros.node.perception_node", "tests.ros.demo.demo_fake_perception"

    def fake_command(part: Part) -> list[str]:
        return [fake if word == real else word for word in real_command(part)]

    demo_run.command_of = fake_command
    return demo.main(arguments)


if __name__ == "__main__":
    if sys.argv[1:2] == ["demo"]:
        sys.exit(run_demo_command(sys.argv[2:]))
    sys.exit(perceive(sys.argv))
