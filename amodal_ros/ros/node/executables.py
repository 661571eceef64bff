# SPDX-License-Identifier: Apache-2.0
"""Entry points of the nodes' executables: ended before they are up, they end without a word.

What a node imports takes a second, on a robot's computer several. Until its ``main`` has set its
own handlers, Python would answer Ctrl-C with a traceback, and SIGTERM with a failure.
"""

from __future__ import annotations

import importlib
import os
import signal


def perception() -> int:
    """``amodal_perception``; returns the exit status."""
    return _run("amodal_ros.ros.node.perception_node")


def demo_camera() -> int:
    """``amodal_demo_camera``; returns the exit status."""
    return _run("amodal_ros.ros.demo.camera")


def demo_recorder() -> int:
    """``amodal_demo_recorder``; returns the exit status."""
    return _run("amodal_ros.ros.demo.recorder")


def masks() -> int:
    """``amodal_masks``; returns the exit status."""
    return _run("amodal_ros.ros.outputs.printer")


def _run(module: str) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        # Nothing is there yet that would have to be put away.
        signal.signal(number, lambda *_: os._exit(0))
    return int(importlib.import_module(module).main())
