# SPDX-License-Identifier: Apache-2.0
"""ROS contexts and nodes of a test, all gone at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node

from tests.ros.faults.fault_rig import NodeProcess
from tests.ros.ros_rig import Camera, PerceptionRig


@pytest.fixture
def context() -> Iterator[Context]:
    """A context of the test's own."""
    own = Context()
    rclpy.init(context=own)
    yield own
    rclpy.try_shutdown(context=own)


@pytest.fixture
def make_node(context: Context) -> Iterator[Callable[..., Node]]:
    """Makes plain nodes that reveal their parameter overrides."""
    nodes: list[Node] = []

    def make(name: str = "tester", **options: object) -> Node:
        node = Node(
            name,
            context=context,
            automatically_declare_parameters_from_overrides=True,
            **options,
        )
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def make_rig(context: Context) -> Iterator[Callable[..., PerceptionRig]]:
    """Makes a perception node with a fake predictor and a camera."""
    rigs: list[PerceptionRig] = []

    def make(**options: object) -> PerceptionRig:
        rigs.append(PerceptionRig(context, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Starts node processes of the test's own."""
    processes: list[NodeProcess] = []

    def make(*command: str, **parameters: object) -> NodeProcess:
        log = tmp_path / f"node{len(processes)}.log"
        processes.append(NodeProcess(log, *command, **parameters))
        return processes[-1]

    yield make
    for process in processes:
        process.kill()


@pytest.fixture
def camera(context: Context) -> Iterator[Camera]:
    """A camera of the test's own."""
    own = Camera(context)
    yield own
    own.close()
