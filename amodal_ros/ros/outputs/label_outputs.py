# SPDX-License-Identifier: Apache-2.0
"""Publishers of masks as other packages understand them: label images, and outlines.

Outlines are those of whole objects, as a ``visualization_msgs/ImageMarker`` for Foxglove's image
panel. One marker holds all objects of an image, with a colour for each line. With one for each
object a viewer would keep the last.
"""

from __future__ import annotations

from collections.abc import Sequence

from geometry_msgs.msg import Point
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import LabelInfo
from visualization_msgs.msg import ImageMarker

from amodal_ros.image.cropped import outlines
from amodal_ros.ros.convert.labels import ClassNumbers, label_messages
from amodal_ros.ros.outputs.overlay import object_colour
from amodal_ros.ros.parameters.topic_names import of_camera
from amodal_ros.tracking.tracker import TrackedObject

_DEPTH = 5
# vision_msgs: as with CameraInfo. Who comes late, or asks for what is latched, has the last one.
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class LabelOutputs:
    """Publishes while somebody subscribes; an image and its info together."""

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
        """Publish one frame's."""
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


_WIDTH_PX = 2.0
_SEEN_OPACITY = 0.4
_TOLERANCE_PX = 1.0  # a tenth of the points


def outline_marker(objects: Sequence[TrackedObject], header: Header) -> ImageMarker:
    """The amodal outline of each object in its colour, and thinly that of what is seen.

    Returns:
        A ``LINE_LIST``: ``points`` has two for each line, in pixels; ``outline_colors`` has one
        colour for each line.
    """
    points: list[Point] = []
    colours: list[ColorRGBA] = []
    for one in objects:
        red, green, blue = (value / 255 for value in object_colour(one.track_id))
        for mask, opacity in ((one.amodal, 1.0), (one.visible, _SEEN_OPACITY)):
            colour = ColorRGBA(r=red, g=green, b=blue, a=opacity)
            for outline in outlines(mask, _TOLERANCE_PX):
                corners = [Point(x=x, y=y) for x, y in outline.tolist()]
                for begin, end in zip(corners, corners[1:] + corners[:1], strict=True):
                    points += (begin, end)
                    colours.append(colour)
    return ImageMarker(
        header=header,
        ns="amodal",
        type=ImageMarker.LINE_LIST,
        scale=_WIDTH_PX,
        points=points,
        outline_colors=colours,
    )
