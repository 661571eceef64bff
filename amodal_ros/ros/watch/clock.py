# SPDX-License-Identifier: Apache-2.0
"""Notices when the node's clock jumps, as simulated time does when a bag starts again."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import ClockChange, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node

from amodal_ros.ros.watch.faults import Fault, FaultLog

# Simulated time advances in steps; a step above this is a jump.
_FORWARD_S = 5.0
_BACKWARD_S = 0.5


class ClockWatch:
    """Counts and tells the jumps of a node's clock.

    Simulated time alone: rclpy does not see corrections of the system's clock. Pairing and tracks
    go by the images' stamps, whose jumps are noticed there; their time-outs by a steady clock.

    Args:
        node: its clock is watched.
        faults: jumps are counted there.
        on_backward: called in the node's executor after time went back.
    """

    def __init__(self, node: Node, faults: FaultLog, on_backward: Callable[[], object]) -> None:
        self._clock = node.get_clock()
        self._faults = faults
        self._on_backward = on_backward
        self._before_ns = 0
        threshold = JumpThreshold(
            min_forward=Duration(seconds=_FORWARD_S),
            min_backward=Duration(seconds=-_BACKWARD_S),
            on_clock_change=False,
        )
        self._handle = self._clock.create_jump_callback(
            threshold, pre_callback=self._remember, post_callback=self._on_jump
        )

    def close(self) -> None:
        """Watch no longer."""
        self._handle.unregister()

    def _remember(self) -> None:
        self._before_ns = self._clock.now().nanoseconds

    def _on_jump(self, jump: TimeJump) -> None:
        # Before the first message of /clock simulated time is 0: that is a start, not a jump.
        if jump.clock_change != ClockChange.ROS_TIME_NO_CHANGE or self._before_ns == 0:
            return
        seconds = jump.delta.nanoseconds / 1e9
        if seconds < 0:
            self._faults.report(
                Fault.CLOCK_JUMP, f"the clock went back by {-seconds:.3f} s: starting anew"
            )
            self._on_backward()
        else:
            self._faults.report(Fault.CLOCK_JUMP, f"the clock went forward by {seconds:.3f} s")
