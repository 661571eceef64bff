# SPDX-License-Identifier: Apache-2.0
"""Publishers of what depth adds: 3D boxes of the whole objects, and a cloud of their points."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from amodal_ros.depth import PinholeCamera, amodal_extent, object_cloud
from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.depth import (
    LocatedObject,
    boxes_3d_message,
    camera_from_info,
    cloud_message,
    depth_from_message,
)
from amodal_ros.ros.parameters.topic_names import of_camera
from amodal_ros.tracking.tracker import TrackedObject

_DEPTH = 5
# Names of the counters.
WITHOUT_DEPTH = "frames_without_depth"
WITHOUT_INFO = "frames_without_camera_info"
BAD_DEPTH = "frames_with_bad_depth"
OBJECTS_WITHOUT_DEPTH = "objects_without_depth"


class Outputs3D:
    """Publishes 3D boxes and points while somebody subscribes.

    Args:
        node: owns the publishers; they publish only while it is active.
        camera: name that prefixes the topics; empty: none.
    """

    def __init__(self, node: LifecycleNode, camera: str) -> None:
        self._node = node
        self._boxes = node.create_lifecycle_publisher(
            Detection3DArray, of_camera(camera, "amodal/detections_3d"), _DEPTH
        )
        self._points = node.create_lifecycle_publisher(
            PointCloud2, of_camera(camera, "amodal/points"), _DEPTH
        )
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes."""
        return bool(self._boxes.get_subscription_count() or self._points.get_subscription_count())

    def counts(self) -> Mapping[str, int]:
        """What was missing so far, by name."""
        names = (WITHOUT_DEPTH, WITHOUT_INFO, BAD_DEPTH, OBJECTS_WITHOUT_DEPTH)
        with self._lock:
            return {name: self._counts[name] for name in names}

    def publish(
        self,
        objects: Sequence[TrackedObject],
        header: Header,
        depth: Image | None,
        info: CameraInfo | None,
        stride: int,
    ) -> None:
        """Publish one frame's; what is missing or wrong is counted and told now and then.

        Args:
            objects: of the frame.
            header: of its image.
            depth: of the same moment and pixels as the image; None: none has come.
            info: intrinsics; None: none have come.
            stride: every so many pixels give a point.
        """
        if depth is None:
            self._miss(WITHOUT_DEPTH, "no depth image has the stamp of the image (see slop)")
            return
        if info is None:
            self._miss(WITHOUT_INFO, "no camera_info has come")
            return
        try:
            depth_m = depth_from_message(depth)
            camera = camera_from_info(info, (depth.height, depth.width))
            self._publish(objects, header, depth_m, camera, stride)
        except InvalidInputError as error:
            self._miss(BAD_DEPTH, str(error))

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._boxes, self._points):
            self._node.destroy_lifecycle_publisher(publisher)

    def _publish(
        self,
        objects: Sequence[TrackedObject],
        header: Header,
        depth_m: np.ndarray,
        camera: PinholeCamera,
        stride: int,
    ) -> None:
        if self._boxes.get_subscription_count():
            located = [
                LocatedObject(
                    tracked,
                    amodal_extent(depth_m, tracked.visible_mask, tracked.amodal_box_xyxy, camera),
                )
                for tracked in objects
            ]
            missing = sum(entry.extent is None for entry in located)
            with self._lock:
                self._counts[OBJECTS_WITHOUT_DEPTH] += missing
            self._boxes.publish(boxes_3d_message(located, header))
        if self._points.get_subscription_count():
            clouds = [
                (
                    tracked.track_id,
                    object_cloud(
                        depth_m, tracked.visible_mask, tracked.amodal_mask, camera, stride
                    ),
                )
                for tracked in objects
            ]
            self._points.publish(cloud_message(clouds, header))

    def _miss(self, name: str, text: str) -> None:
        with self._lock:
            self._counts[name] += 1
        self._node.get_logger().warning(f"no 3D output: {text}", throttle_duration_sec=5.0)
