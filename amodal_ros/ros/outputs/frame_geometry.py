# SPDX-License-Identifier: Apache-2.0
"""What 3D output needs of a frame: its depth, its intrinsics, and where its camera is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from std_msgs.msg import Header

from amodal_ros.depth.camera import PinholeCamera, RigidTransform
from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.inputs.depth_input import DepthImage, DepthInput
from amodal_ros.ros.outputs.image_depth import (
    BAD_DEPTH,
    NOT_ALIGNED,
    ImageDepth,
    MissingError,
    read_image_depth,
    transform_at,
)
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.watch.faults import Doubt, Fault, FaultLog
from amodal_ros.ros.watch.plausibility import other_frame

MISSES_IN_A_ROW = 3


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
    """Reads it, and tells what is implausible of it.

    Args:
        faults: where alarms go.
    """

    def __init__(self, faults: FaultLog) -> None:
        self._frames = {
            what: Doubt(faults, Fault.FRAME_ID, what) for what in ("depth images", "camera_info")
        }
        self._units = Doubt(faults, Fault.DEPTH_UNITS, begin=MISSES_IN_A_ROW)

    def read(
        self,
        header: Header,
        image_hw: tuple[int, int],
        depth: ImageDepth | DepthImage | None,
        inputs: DepthInput,
        parameters: PerceptionParameters,
    ) -> FrameGeometry:
        """Of one frame.

        Args:
            header: of its image.
            image_hw: height and width of its image.
            depth: of the same moment, read already or not; None: none has come.
            inputs: knows frames, intrinsics and transforms, and why something has not come.
            parameters: unit and range of depth, patience.

        Raises:
            MissingError: with what is missing, why, and what to do.
        """
        patience_s = parameters.transform_timeout
        if isinstance(depth, ImageDepth):
            self._look_at(depth.info_frame, depth.depth_frame, header, inputs)
        else:
            # First, since a frame that is not the image's is why reading fails.
            if depth is not None and inputs.info is not None:
                frames_seen = inputs.info.header.frame_id, depth.header.frame_id
                self._look_at(*frames_seen, header, inputs)
            depth = read_image_depth(header, image_hw, depth, inputs, parameters, patience_s)
        self._units.see(depth.units)
        to_published, published, late = RigidTransform.identity(), header, depth.late
        if inputs.target_frame:
            frames = inputs.target_frame, header.frame_id
            to_published, waited = transform_at(
                *frames, stamp_to_ns(header.stamp), inputs, patience_s
            )
            late |= waited
            published = Header(stamp=header.stamp, frame_id=inputs.target_frame)
        if not np.isfinite(depth.depth_m).any():
            raise MissingError(BAD_DEPTH, "no pixel of the depth image has a depth")
        return FrameGeometry(depth.depth_m, depth.camera, to_published, published, late)

    def clear(self) -> None:
        """End all alarms."""
        for doubt in (*self._frames.values(), self._units):
            doubt.clear()

    def _look_at(
        self, info_frame: str, depth_frame: str, header: Header, inputs: DepthInput
    ) -> None:
        """At whether intrinsics and aligned depth are of the image's camera."""
        self._frames["camera_info"].see(other_frame("camera_info", info_frame, header.frame_id))
        of_depth = None
        if not inputs.separate:
            of_depth = other_frame("depth images", depth_frame, header.frame_id)
        self._frames["depth images"].see(of_depth and of_depth + NOT_ALIGNED)
