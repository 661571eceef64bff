# SPDX-License-Identifier: Apache-2.0
"""What depth adds to a frame: 3D boxes of its whole objects, their points, markers."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sensor_msgs.msg import PointCloud2
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from amodal_ros.depth.box import ObjectBox, box_along, median_depth_box, upright_box
from amodal_ros.depth.plane import SupportPlane, find_support_plane
from amodal_ros.depth.whole import WholeObject, complete_object
from amodal_ros.ros.outputs.frame_geometry import (
    MISSES_IN_A_ROW,
    DepthFrame,
    FrameGeometry,
    GeometryReader,
)
from amodal_ros.ros.outputs.image_depth import LACKS, MissingError
from amodal_ros.ros.outputs.messages_3d import (
    LocatedObject,
    ObjectCloud,
    boxes_3d_message,
    cloud_message,
    markers_message,
)
from amodal_ros.ros.watch.faults import Doubt, Fault, FaultLog
from amodal_ros.tracking.tracker import TrackedObject

# Names of counters, beside those of `LACKS`.
OBJECTS_WITHOUT_DEPTH = "objects_without_depth"
LATE = "transforms_late"
WITHOUT_PLANE = "frames_without_support_plane"
_COUNTERS = (*LACKS, LATE, WITHOUT_PLANE, OBJECTS_WITHOUT_DEPTH)
_POINTS_OF_A_BOX = 2500  # more make it no better


class Wanted3D(NamedTuple):
    """Which messages are made."""

    boxes: bool
    points: bool
    markers: bool


@dataclass(frozen=True, eq=False)
class Frame3D:
    """The messages of one frame; None: not wanted."""

    boxes: Detection3DArray | None
    points: PointCloud2 | None
    markers: MarkerArray | None


class Maker3D:
    """Makes them of a camera's frames; counts what is missing. On every frame it is an alarm."""

    def __init__(self, faults: FaultLog) -> None:
        self._reader = GeometryReader(faults)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        # One for each cause: they may change while 3D is missing.
        self._missing = {
            name: Doubt(faults, Fault.NO_3D, name, begin=MISSES_IN_A_ROW, end=1) for name in LACKS
        }
        self._wanted = False

    def counts(self) -> Mapping[str, int]:
        """What was missing so far, by name."""
        with self._lock:
            return {name: self._counts[name] for name in _COUNTERS}

    def make(
        self,
        objects: Sequence[TrackedObject],
        frame: DepthFrame,
        wanted: Wanted3D,
    ) -> Frame3D | None:
        """One frame's; None where something is missing, which is counted and told."""
        self._begin(wanted=True)
        try:
            geometry = self._reader.read(frame)
        except MissingError as missing:
            self._count(missing.counter)
            self._note(missing.counter, f"no 3D output, though it is wanted: {missing}")
            return None
        self._note(None, "")
        if geometry.late:
            self._count(LATE)
        plane = self._plane(objects, geometry, bool(frame.inputs.target_frame))
        boxes = markers = points = None
        parameters = frame.parameters
        if wanted.boxes or wanted.markers:
            located = self._located(objects, geometry, plane, parameters.box_axes == "plane")
            boxes = boxes_3d_message(located, geometry.header) if wanted.boxes else None
            markers = markers_message(located, geometry.header) if wanted.markers else None
        if wanted.points:
            clouds = [
                _cloud(tracked, geometry, plane, parameters.point_stride) for tracked in objects
            ]
            points = cloud_message(clouds, geometry.header)
        return Frame3D(boxes, points, markers)

    def look(self, frame: DepthFrame) -> None:
        """Tell what is wrong with the depth of a frame of which nobody wants 3D.

        Who hides whom is found by depth as well, and the robot is put together before somebody
        subscribes.
        """
        self._begin(wanted=False)
        try:
            if self._reader.look(frame):
                self._note(None, "")
        except MissingError as missing:
            self._note(missing.counter, f"depth is not used, masks alone say the order: {missing}")

    def clear(self) -> None:
        """End all alarms."""
        self._clear_missing()
        self._reader.clear()

    def _begin(self, wanted: bool) -> None:
        """What is missing means something else where 3D is wanted: it is told again."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._clear_missing()

    def _clear_missing(self) -> None:
        for doubt in self._missing.values():
            doubt.clear()

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

    def _located(
        self,
        objects: Sequence[TrackedObject],
        geometry: FrameGeometry,
        plane: SupportPlane | None,
        upright: bool,
    ) -> list[LocatedObject]:
        located = [
            LocatedObject(tracked, _box(tracked, geometry, plane, upright)) for tracked in objects
        ]
        self._count(OBJECTS_WITHOUT_DEPTH, sum(entry.box is None for entry in located))
        return located

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
