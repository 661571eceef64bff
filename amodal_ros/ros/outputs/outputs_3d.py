# SPDX-License-Identifier: Apache-2.0
"""Publishers of what depth adds: 3D boxes of the whole objects, their points, markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import PointCloud2
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from amodal_ros.ros.outputs.frame_3d import Maker3D, Wanted3D
from amodal_ros.ros.outputs.frame_geometry import DepthFrame
from amodal_ros.ros.parameters.topic_names import of_camera
from amodal_ros.ros.watch.faults import FaultLog
from amodal_ros.tracking.tracker import TrackedObject

_DEPTH = 5


class Taker3D(Protocol):
    """Where frames with depth go: `Outputs3D` publishes what it makes of them."""

    def publish(self, objects: Sequence[TrackedObject], frame: DepthFrame) -> None:
        """Take one frame and its objects."""

    def clear(self) -> None:
        """End all alarms."""


class Outputs3D:
    """Publishes 3D boxes, points and markers while somebody subscribes.

    What is missing on every frame is an alarm.
    """

    def __init__(self, node: LifecycleNode, camera: str, faults: FaultLog) -> None:
        self._node = node
        self._boxes = node.create_lifecycle_publisher(
            Detection3DArray, of_camera(camera, "amodal/detections_3d"), _DEPTH
        )
        self._points = node.create_lifecycle_publisher(
            PointCloud2, of_camera(camera, "amodal/points"), _DEPTH
        )
        self._markers = node.create_lifecycle_publisher(
            MarkerArray, of_camera(camera, "amodal/box_markers"), _DEPTH
        )
        self._maker = Maker3D(faults)

    def counts(self) -> Mapping[str, int]:
        """What was missing so far, by name."""
        return self._maker.counts()

    def publish(self, objects: Sequence[TrackedObject], frame: DepthFrame) -> None:
        """Publish one frame's, if somebody subscribes; what is missing is told in any case."""
        publishers = self._publishers
        wanted = Wanted3D(*(bool(one.get_subscription_count()) for one in publishers))
        if not any(wanted):
            self._maker.look(frame)
            return
        made = self._maker.make(objects, frame, wanted)
        if made is None:
            return
        for publisher, message in zip(
            publishers, (made.boxes, made.points, made.markers), strict=True
        ):
            if message is not None:
                publisher.publish(message)

    def clear(self) -> None:
        """End all alarms."""
        self._maker.clear()

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)

    @property
    def _publishers(self) -> tuple:
        return self._boxes, self._points, self._markers
