# SPDX-License-Identifier: Apache-2.0
"""What 3D output needs of a frame: its depth, its intrinsics, and where its camera is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from std_msgs.msg import Header

from amodal_ros.depth.camera import PinholeCamera, RigidTransform
from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.inputs.depth_source import DepthImage, DepthSource
from amodal_ros.ros.outputs.image_depth import (
    BAD_DEPTH,
    NOT_ALIGNED,
    WITHOUT_DEPTH,
    ImageDepth,
    MissingError,
    metric_depth,
    read_image_depth,
    transform_at,
)
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.watch.faults import Doubt, Fault, FaultLog
from amodal_ros.ros.watch.plausibility import other_frame

MISSES_IN_A_ROW = 3
_LOOK_EVERY = 10  # frames of which nobody wants depth: reading one takes milliseconds


@dataclass(frozen=True, eq=False)
class DepthFrame:
    """A frame to which depth belongs.

    Attributes:
        header: of its image.
        image_hw: height and width of its image.
        depth: of the same moment as the image, read already or not; None: none has come.
        inputs: knows frames, intrinsics and transforms, and why something has not come.
        parameters: unit and range of depth, patience, what boxes and points are like.
    """

    header: Header
    image_hw: tuple[int, int]
    depth: ImageDepth | DepthImage | None
    inputs: DepthSource
    parameters: PerceptionParameters


@dataclass(frozen=True, eq=False)
class FrameGeometry:
    """Of one frame.

    Attributes:
        depth_m: (H, W) float32 metres in the image's pixels, NaN where unknown.
        camera: intrinsics of the image.
        to_published: from the image's optical frame to the frame that is published.
        header: of what is published.
        late: transforms had to be waited for.
    """

    depth_m: np.ndarray
    camera: PinholeCamera
    to_published: RigidTransform
    header: Header
    late: bool


class GeometryReader:
    """Reads it, and tells what is implausible of it."""

    def __init__(self, faults: FaultLog) -> None:
        self._frames = {
            what: Doubt(faults, Fault.FRAME_ID, what) for what in ("depth images", "camera_info")
        }
        self._units = Doubt(faults, Fault.DEPTH_UNITS, begin=MISSES_IN_A_ROW)
        self._unread = 0

    def read(self, frame: DepthFrame) -> FrameGeometry:
        """Of one frame.

        Raises:
            MissingError: with what is missing, why, and what to do.
        """
        header, inputs = frame.header, frame.inputs
        depth = self._image_depth(frame, frame.parameters.transform_timeout)
        to_published, published, late = RigidTransform.identity(), header, depth.late
        if inputs.target_frame:
            stamp_ns, patience_s = stamp_to_ns(header.stamp), frame.parameters.transform_timeout
            to_published, waited = transform_at(
                inputs.target_frame, header.frame_id, stamp_ns, inputs, patience_s
            )
            late |= waited
            published = Header(stamp=header.stamp, frame_id=inputs.target_frame)
        return FrameGeometry(depth.depth_m, depth.camera, to_published, published, late)

    def look(self, frame: DepthFrame) -> bool:
        """Look at a frame of which nobody wants 3D: who hides whom is found by its depth too.

        Depth that nobody has read is read now and then. Nothing is waited for.

        Returns:
            Whether it was looked at.

        Raises:
            MissingError: its depth cannot be used; with what is missing, why, and what to do.
        """
        if frame.depth is not None and not isinstance(frame.depth, ImageDepth):
            self._unread += 1
            if self._unread % _LOOK_EVERY != 1:
                return False
        self._image_depth(frame, timeout_s=0.0)
        return True

    def clear(self) -> None:
        """End all alarms."""
        for doubt in (*self._frames.values(), self._units):
            doubt.clear()

    def _image_depth(self, frame: DepthFrame, timeout_s: float) -> ImageDepth:
        """Looks at each message before it is used: what is wrong there may be why that fails."""
        header, inputs, depth = frame.header, frame.inputs, frame.depth
        if isinstance(depth, ImageDepth):
            self._look_at_info(depth.info_frame, header)
            self._look_at_depth(depth.depth_frame, header, inputs)
            self._units.see(depth.units)
        else:
            if inputs.info is not None:
                self._look_at_info(inputs.info.header.frame_id, header)
            if depth is None:
                raise MissingError(WITHOUT_DEPTH, inputs.why_no_depth(stamp_to_ns(header.stamp)))
            self._look_at_depth(depth.header.frame_id, header, inputs)
            metric = metric_depth(depth, frame.parameters)
            self._units.see(metric.units)
            depth = read_image_depth(header, frame.image_hw, metric, inputs, timeout_s)
        if not np.isfinite(depth.depth_m).any():
            raise MissingError(BAD_DEPTH, "no pixel of the depth image has a depth")
        return depth

    def _look_at_info(self, frame_id: str, header: Header) -> None:
        """At whether intrinsics are of the image's camera."""
        self._frames["camera_info"].see(other_frame("camera_info", frame_id, header.frame_id))

    def _look_at_depth(self, frame_id: str, header: Header, inputs: DepthSource) -> None:
        """At whether aligned depth is of the image's camera."""
        of_depth = None
        if not inputs.separate:
            of_depth = other_frame("depth images", frame_id, header.frame_id)
        self._frames["depth images"].see(of_depth and of_depth + NOT_ALIGNED)
