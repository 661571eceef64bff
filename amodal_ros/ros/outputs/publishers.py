# SPDX-License-Identifier: Apache-2.0
"""What is published of each answered image, and where its time went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from amodal_msgs.msg import AmodalMaskArray
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from amodal_ros.ros.convert.images import rgb_to_image
from amodal_ros.ros.convert.masks import amodal_boxes_message
from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.outputs.ahead_output import AheadOutput
from amodal_ros.ros.outputs.image_depth import ImageDepth
from amodal_ros.ros.outputs.label_outputs import LabelOutputs
from amodal_ros.ros.outputs.overlay import draw_overlay
from amodal_ros.ros.parameters.topic_names import of_camera
from amodal_ros.ros.watch.faults import FaultLog
from amodal_ros.tracking.tracker import TrackedObject

# Reliable, and deep enough that a subscriber that is late by a few frames loses none.
_DEPTH = 5
# In the order of a frame's way. `total` is stamp to publication, the others are parts of it.
TIMING_KEYS: tuple[str, ...] = (
    "transport",
    "wait",
    "convert",
    "preprocess",
    "prefix",
    "prior",
    "suffix",
    "decoder",
    "memory",
    "postprocess",
    "track",
    "message",
    "total",
)


@dataclass(frozen=True)
class FrameAnswer:
    """What one frame led to.

    Attributes:
        masks: the message, with the source image's header.
        objects: what the message was made of.
        image_rgb: (H, W, 3) uint8, maybe a view of the source message.
        timings_ms: ``convert`` (messages to arrays), ``preprocess``, ``prefix``, ``prior``,
            ``suffix``, ``decoder``, ``memory``, ``postprocess``, ``track`` and ``message`` in
            milliseconds.
        depth: by which it was decided who hides whom; None: it was not read, or there is none.
        interval_s: seconds from one image to the next; 0: not known yet.
        upright: whether the image's lower side is the ground's.
    """

    masks: AmodalMaskArray
    objects: tuple[TrackedObject, ...]
    image_rgb: np.ndarray
    timings_ms: Mapping[str, float]
    depth: ImageDepth | None = None
    interval_s: float = 0.0
    upright: bool = True


class Outputs:
    """Publishes a frame's answer: masks always, all else for who listens."""

    def __init__(self, node: LifecycleNode, camera: str = "") -> None:
        self._node = node

        def publisher(message_type: type, name: str) -> LifecyclePublisher:
            return node.create_lifecycle_publisher(
                message_type, of_camera(camera, f"amodal/{name}"), _DEPTH
            )

        self._masks = publisher(AmodalMaskArray, "masks")
        self._boxes = publisher(Detection2DArray, "detections")
        self._overlay = publisher(Image, "overlay")
        self._timing = publisher(DiagnosticArray, "timing")
        self._labels = LabelOutputs(node, camera)
        self._ahead = AheadOutput(node, camera, _DEPTH)

    def publish(
        self, answer: FrameAnswer, waited_ms: dict[str, float], faults: FaultLog
    ) -> dict[str, float]:
        """Publish one answer.

        Returns:
            All times of the frame in milliseconds, as on ``amodal/timing``.
        """
        header = answer.masks.header
        started = perf_counter()
        self._masks.publish(answer.masks)
        published_ns = self._node.get_clock().now().nanoseconds
        timings_ms = {**waited_ms, **answer.timings_ms}
        timings_ms["message"] += (perf_counter() - started) * 1e3
        timings_ms["total"] = (published_ns - stamp_to_ns(header.stamp)) / 1e6
        image_hw = answer.image_rgb.shape[:2]
        self._ahead.publish(
            *(answer.objects, header, image_hw, answer.interval_s), upright=answer.upright
        )
        if self._boxes.get_subscription_count():
            self._boxes.publish(amodal_boxes_message(answer.objects, header))
        if self._timing.get_subscription_count():
            self._timing.publish(timing_message(header, timings_ms, faults.counts()))
        if self._overlay.get_subscription_count():
            picture = draw_overlay(answer.image_rgb, answer.objects)
            self._overlay.publish(rgb_to_image(picture, header))
        self._labels.publish(answer.objects, header, image_hw)
        return timings_ms

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._masks, self._boxes, self._overlay, self._timing):
            self._node.destroy_lifecycle_publisher(publisher)
        self._labels.destroy()
        self._ahead.destroy()


def timing_message(
    header: Header, timings_ms: Mapping[str, float], counters: Mapping[str, int]
) -> DiagnosticArray:
    """Build the message of one answered frame.

    Args:
        header: the source image's.
        timings_ms: milliseconds by ``TIMING_KEYS``; a missing one did not take place: 0.
        counters: the node's fault counters since it was configured.
    """
    values = [KeyValue(key=key, value=f"{timings_ms.get(key, 0.0):.3f}") for key in TIMING_KEYS]
    values += [KeyValue(key=key, value=str(count)) for key, count in counters.items()]
    status = DiagnosticStatus(
        level=DiagnosticStatus.OK, name="amodal_perception: timing", message="ms", values=values
    )
    return DiagnosticArray(header=header, status=[status])


def read_timing(message: DiagnosticArray) -> dict[str, float]:
    """Every key of a timing message with its value: milliseconds, and counters."""
    (status,) = message.status
    return {entry.key: float(entry.value) for entry in status.values}
