# SPDX-License-Identifier: Apache-2.0
"""The real perception node with the tests' fast predictor, as a process."""

from __future__ import annotations

import sys

from amodal_ros.ros.node_process import run_lifecycle_node
from amodal_ros.ros.perception_node import PerceptionNode
from tests.ros.ros_rig import FakePredictor

if __name__ == "__main__":
    sys.exit(
        run_lifecycle_node(
            lambda: PerceptionNode(make_predictor=lambda parameters: FakePredictor()),
            sys.argv,
            autostart=lambda node: node.autostart,
        )
    )
