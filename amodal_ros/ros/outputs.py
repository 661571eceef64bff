# SPDX-License-Identifier: Apache-2.0
"""The perception node's publishers."""

from __future__ import annotations

from time import perf_counter

from amodal_msgs.msg import AmodalMaskArray
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image

from amodal_ros.ros.faults import FaultLog
from amodal_ros.ros.frame_pipeline import FrameAnswer
from amodal_ros.ros.image_conversion import rgb_to_image
from amodal_ros.ros.overlay import draw_overlay
from amodal_ros.ros.stamps import stamp_to_ns
from amodal_ros.ros.timing import timing_message

# Reliable, and deep enough that a subscriber that is late by a few frames loses none.
_DEPTH = 5


class Outputs:
    """Publishes a frame's answer: masks always, overlay and timing for who listens.

    Args:
        node: owns the publishers; they publish only while it is active.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._masks = node.create_lifecycle_publisher(AmodalMaskArray, "amodal/masks", _DEPTH)
        self._overlay = node.create_lifecycle_publisher(Image, "amodal/overlay", _DEPTH)
        self._timing = node.create_lifecycle_publisher(DiagnosticArray, "amodal/timing", _DEPTH)

    def publish(self, answer: FrameAnswer, waited_ms: dict[str, float], faults: FaultLog) -> None:
        """Publish one answer.

        Args:
            answer: of the pipeline.
            waited_ms: milliseconds before the pipeline took the frame: ``transport``, ``wait``.
            faults: its counters go along with the timing.
        """
        header = answer.masks.header
        started = perf_counter()
        self._masks.publish(answer.masks)
        published_ns = self._node.get_clock().now().nanoseconds
        timings_ms = {**waited_ms, **answer.timings_ms}
        timings_ms["message"] += (perf_counter() - started) * 1e3
        timings_ms["total"] = (published_ns - stamp_to_ns(header.stamp)) / 1e6
        if self._timing.get_subscription_count():
            self._timing.publish(timing_message(header, timings_ms, faults.counts()))
        if self._overlay.get_subscription_count():
            picture = draw_overlay(answer.image_rgb, answer.objects)
            self._overlay.publish(rgb_to_image(picture, header))

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._masks, self._overlay, self._timing):
            self._node.destroy_lifecycle_publisher(publisher)
