# SPDX-License-Identifier: Apache-2.0
"""Publishers of what depth adds: 3D boxes of the whole objects, and a cloud of their points."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image, PointCloud2
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
from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.inputs.depth_input import DepthImage, DepthInput
from amodal_ros.ros.parameters.topic_names import of_camera
from amodal_ros.ros.watch.faults import Doubt, Fault, FaultLog
from amodal_ros.ros.watch.plausibility import depth_units, other_frame
from amodal_ros.tracking.tracker import TrackedObject

_DEPTH = 5
# Names of the counters.
WITHOUT_DEPTH = "frames_without_depth"
WITHOUT_INFO = "frames_without_camera_info"
BAD_DEPTH = "frames_with_bad_depth"
BAD_INFO = "frames_with_bad_camera_info"
OBJECTS_WITHOUT_DEPTH = "objects_without_depth"
_COUNTERS = (WITHOUT_DEPTH, WITHOUT_INFO, BAD_DEPTH, BAD_INFO, OBJECTS_WITHOUT_DEPTH)
_MISSES_IN_A_ROW = 3


class _MissingError(Exception):
    """A frame has no 3D output; the arguments are the counter's name and why."""


class Outputs3D:
    """Publishes 3D boxes and points while somebody subscribes.

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
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        # One for each cause: they may change while 3D is missing.
        self._missing = {
            name: Doubt(faults, Fault.NO_3D, name, begin=_MISSES_IN_A_ROW, end=1)
            for name in _COUNTERS
        }
        self._frames = {
            what: Doubt(faults, Fault.FRAME_ID, what) for what in ("depth images", "camera_info")
        }
        self._units = Doubt(faults, Fault.DEPTH_UNITS, begin=_MISSES_IN_A_ROW)

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes."""
        return bool(self._boxes.get_subscription_count() or self._points.get_subscription_count())

    def counts(self) -> Mapping[str, int]:
        """What was missing so far, by name."""
        with self._lock:
            return {name: self._counts[name] for name in _COUNTERS}

    def publish(
        self,
        objects: Sequence[TrackedObject],
        header: Header,
        depth: DepthImage | None,
        inputs: DepthInput,
        stride: int,
        scale: float,
    ) -> None:
        """Publish one frame's, if somebody subscribes; what is missing is counted and told.

        Args:
            objects: of the frame.
            header: of its image.
            depth: of the same moment and pixels as the image; None: none has come.
            inputs: knows the intrinsics, and why something has not come.
            stride: every so many pixels give a point.
            scale: metres of one unit of depth; 0: as its encoding says.
        """
        if not self.wanted:
            self.clear()
            return
        try:
            depth_m, camera = self._read(header, depth, inputs, scale)
            self._publish(objects, header, depth_m, camera, stride)
            if not np.isfinite(depth_m).any():
                raise _MissingError(BAD_DEPTH, "no pixel of the depth image has a depth")
        except _MissingError as missing:
            self._miss(*missing.args)
        else:
            self._note(None, "")

    def clear(self) -> None:
        """End all alarms."""
        for doubt in (*self._missing.values(), *self._frames.values(), self._units):
            doubt.clear()

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
        if any(tracked.amodal_mask.shape != depth_m.shape for tracked in objects):
            raise _MissingError(
                BAD_DEPTH,
                f"the depth image has {depth_m.shape[1]}x{depth_m.shape[0]} pixels, the image "
                "another size: use depth that is aligned with the image",
            )
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

    def _read(
        self, header: Header, depth: DepthImage | None, inputs: DepthInput, scale: float
    ) -> tuple[np.ndarray, PinholeCamera]:
        """Depth (H, W) in metres and intrinsics; raises _MissingError."""
        info = inputs.info
        if depth is None:
            raise _MissingError(WITHOUT_DEPTH, inputs.why_no_depth(stamp_to_ns(header.stamp)))
        if info is None:
            raise _MissingError(WITHOUT_INFO, inputs.why_no_info())
        for what, other in (("depth images", depth.header), ("camera_info", info.header)):
            self._frames[what].see(other_frame(what, other.frame_id, header.frame_id))
        try:
            depth_m = depth_from_message(depth, scale)
        except InvalidInputError as error:
            raise _MissingError(BAD_DEPTH, str(error)) from error
        try:
            camera = camera_from_info(info, depth_m.shape)
        except InvalidInputError as error:
            raise _MissingError(BAD_INFO, str(error)) from error
        encoding = depth.encoding if isinstance(depth, Image) else depth.format[:5]
        self._units.see(depth_units(depth_m, encoding, scale))
        return depth_m, camera

    def _miss(self, name: str, text: str) -> None:
        with self._lock:
            self._counts[name] += 1
        self._note(name, f"no 3D output, though somebody subscribes: {text}")

    def _note(self, missing: str | None, text: str) -> None:
        for name, doubt in self._missing.items():
            doubt.see(text if name == missing else None)
