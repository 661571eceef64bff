# SPDX-License-Identifier: Apache-2.0
"""Publishers of what depth adds: 3D boxes of the whole objects, their points, markers."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from amodal_ros.depth.box import ObjectBox, box_along, median_depth_box, upright_box
from amodal_ros.depth.plane import SupportPlane, find_support_plane
from amodal_ros.depth.whole import WholeObject, complete_object
from amodal_ros.ros.inputs.depth_input import DepthImage, DepthInput
from amodal_ros.ros.outputs.frame_geometry import (
    MISSES_IN_A_ROW,
    FrameGeometry,
    GeometryReader,
)
from amodal_ros.ros.outputs.image_depth import LACKS, ImageDepth, MissingError
from amodal_ros.ros.outputs.messages_3d import (
    LocatedObject,
    ObjectCloud,
    boxes_3d_message,
    cloud_message,
    markers_message,
)
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.parameters.topic_names import of_camera
from amodal_ros.ros.watch.faults import Doubt, Fault, FaultLog
from amodal_ros.tracking.tracker import TrackedObject

_DEPTH = 5
# Names of counters, beside those of `LACKS`.
OBJECTS_WITHOUT_DEPTH = "objects_without_depth"
LATE = "transforms_late"
WITHOUT_PLANE = "frames_without_support_plane"
_COUNTERS = (*LACKS, LATE, WITHOUT_PLANE, OBJECTS_WITHOUT_DEPTH)
_POINTS_OF_A_BOX = 2500  # more make it no better


class Outputs3D:
    """Publishes 3D boxes, points and markers while somebody subscribes.

    What is missing on every frame is an alarm.

    Args:
        node: owns the publishers; they publish only while it is active.
        camera: name that prefixes the topics; empty: none.
        faults: where alarms go.
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
        self._reader = GeometryReader(faults)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        # One for each cause: they may change while 3D is missing.
        self._missing = {
            name: Doubt(faults, Fault.NO_3D, name, begin=MISSES_IN_A_ROW, end=1) for name in LACKS
        }

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes."""
        return any(publisher.get_subscription_count() for publisher in self._publishers)

    def counts(self) -> Mapping[str, int]:
        """What was missing so far, by name."""
        with self._lock:
            return {name: self._counts[name] for name in _COUNTERS}

    def publish(
        self,
        objects: Sequence[TrackedObject],
        header: Header,
        image_hw: tuple[int, int],
        depth: ImageDepth | DepthImage | None,
        inputs: DepthInput,
        parameters: PerceptionParameters,
    ) -> None:
        """Publish one frame's, if somebody subscribes; what is missing is counted and told.

        Args:
            objects: of the frame.
            header: of its image.
            image_hw: height and width of its image.
            depth: of the same moment as the image, read already or not; None: none has come.
            inputs: knows intrinsics and transforms, and why something has not come.
            parameters: what boxes and points are like.
        """
        if not self.wanted:
            self.clear()
            return
        try:
            geometry = self._reader.read(header, image_hw, depth, inputs, parameters)
        except MissingError as missing:
            self._count(missing.counter)
            self._note(missing.counter, f"no 3D output, though somebody subscribes: {missing}")
            return
        self._note(None, "")
        if geometry.late:
            self._count(LATE)
        plane = self._plane(objects, geometry, bool(inputs.target_frame))
        if self._boxes.get_subscription_count() or self._markers.get_subscription_count():
            self._publish_boxes(objects, geometry, plane, parameters.box_axes == "plane")
        if self._points.get_subscription_count():
            clouds = [
                _cloud(tracked, geometry, plane, parameters.point_stride) for tracked in objects
            ]
            self._points.publish(cloud_message(clouds, geometry.header))

    def clear(self) -> None:
        """End all alarms."""
        for doubt in self._missing.values():
            doubt.clear()
        self._reader.clear()

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)

    @property
    def _publishers(self) -> tuple:
        return self._boxes, self._points, self._markers

    def _plane(
        self,
        objects: Sequence[TrackedObject],
        geometry: FrameGeometry,
        of_robot: bool,
    ) -> SupportPlane | None:
        if not objects:
            return None
        masks = [tracked.visible_mask for tracked in objects]
        plane = None
        if of_robot:
            # Robots' frames have z up (REP 103); a tool's or a camera's has not.
            up = geometry.to_published.rotation.T @ (0.0, 0.0, 1.0)
            plane = find_support_plane(geometry.depth_m, masks, geometry.camera, up)
        if plane is None:
            plane = find_support_plane(geometry.depth_m, masks, geometry.camera)
        if plane is None:
            self._count(WITHOUT_PLANE)
        return plane

    def _publish_boxes(
        self,
        objects: Sequence[TrackedObject],
        geometry: FrameGeometry,
        plane: SupportPlane | None,
        upright: bool,
    ) -> None:
        located = [
            LocatedObject(tracked, _box(tracked, geometry, plane, upright)) for tracked in objects
        ]
        self._count(OBJECTS_WITHOUT_DEPTH, sum(entry.box is None for entry in located))
        if self._boxes.get_subscription_count():
            self._boxes.publish(boxes_3d_message(located, geometry.header))
        if self._markers.get_subscription_count():
            self._markers.publish(markers_message(located, geometry.header))

    def _count(self, name: str, times: int = 1) -> None:
        with self._lock:
            self._counts[name] += times

    def _note(self, missing: str | None, text: str) -> None:
        for name, doubt in self._missing.items():
            doubt.see(text if name == missing else None)


def _box(
    tracked: TrackedObject, geometry: FrameGeometry, plane: SupportPlane | None, upright: bool
) -> ObjectBox | None:
    """The box of an object in the published frame."""
    stride = max(1, math.isqrt(tracked.amodal.area // _POINTS_OF_A_BOX))
    whole = _complete(tracked, geometry, plane, stride)
    if whole is None:
        return None
    camera, sigma_px = geometry.camera, tracked.position_sigma_px
    axes = geometry.to_published.rotation.T
    if upright and plane is not None:
        box = upright_box(whole, camera, sigma_px)
    elif plane is None and np.array_equal(axes, np.eye(3)):
        box = median_depth_box(whole, tracked.amodal_mask, camera, sigma_px)
    else:
        box = box_along(whole, axes, camera, sigma_px)
    return box.moved(geometry.to_published)


def _cloud(
    tracked: TrackedObject, geometry: FrameGeometry, plane: SupportPlane | None, stride: int
) -> ObjectCloud:
    """The points of an object in the published frame; none where its depth is not known."""
    whole = _complete(tracked, geometry, plane, stride)
    if whole is None:
        nothing = np.zeros((0, 3), np.float32)
        return ObjectCloud(tracked.track_id, nothing, nothing)
    moved = geometry.to_published.apply
    return ObjectCloud(tracked.track_id, moved(whole.seen), moved(whole.hidden))


def _complete(
    tracked: TrackedObject, geometry: FrameGeometry, plane: SupportPlane | None, stride: int
) -> WholeObject | None:
    return complete_object(
        *(geometry.depth_m, tracked.visible_mask, tracked.amodal_mask, geometry.camera),
        *(plane, stride),
    )
