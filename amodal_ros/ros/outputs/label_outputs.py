# SPDX-License-Identifier: Apache-2.0
"""Publishers of masks as other packages understand them: label images, and outlines."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo
from visualization_msgs.msg import ImageMarker

from amodal_ros.ros.convert.labels import ClassNumbers, label_messages
from amodal_ros.ros.outputs.outlines import outline_marker
from amodal_ros.ros.parameters.topic_names import of_camera
from amodal_ros.tracking.tracker import TrackedObject

_DEPTH = 5
# vision_msgs: as with CameraInfo. Who comes late, or asks for what is latched, has the last one.
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class LabelOutputs:
    """Publishes while somebody subscribes; an image and its info together.

    Args:
        node: owns the publishers; they publish only while it is active.
        camera: name that prefixes the topics; empty: none.
    """

    def __init__(self, node: LifecycleNode, camera: str) -> None:
        self._node = node

        def publisher(
            message_type: type, name: str, qos: QoSProfile | int = _DEPTH
        ) -> LifecyclePublisher:
            return node.create_lifecycle_publisher(
                message_type, of_camera(camera, f"amodal/{name}"), qos
            )

        self._labels = (
            publisher(Image, "label_image"),
            publisher(LabelInfo, "label_info", _LATCHED),
        )
        self._classes = (
            publisher(Image, "semantic_image"),
            publisher(LabelInfo, "semantic_info", _LATCHED),
        )
        self._outlines = publisher(ImageMarker, "outlines")
        self._class_numbers = ClassNumbers()

    def publish(
        self, objects: Sequence[TrackedObject], header: Header, image_hw: tuple[int, int]
    ) -> None:
        """Publish one frame's.

        Args:
            objects: of the frame; no two see the same pixel.
            header: of its image.
            image_hw: its height and width.
        """
        if _wanted(*self._labels):
            _publish(self._labels, label_messages(objects, header, image_hw))
        if _wanted(*self._classes):
            _publish(self._classes, self._class_numbers.messages(objects, header, image_hw))
        if _wanted(self._outlines):
            self._outlines.publish(outline_marker(objects, header))

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher in (*self._labels, *self._classes, self._outlines):
            self._node.destroy_lifecycle_publisher(publisher)


def _wanted(*publishers: LifecyclePublisher) -> bool:
    return any(publisher.get_subscription_count() for publisher in publishers)


def _publish(
    publishers: tuple[LifecyclePublisher, LifecyclePublisher], messages: tuple[Image, LabelInfo]
) -> None:
    """The info first: whoever has the image then knows what it means."""
    for publisher, message in zip(reversed(publishers), reversed(messages), strict=True):
        publisher.publish(message)
