# SPDX-License-Identifier: Apache-2.0
"""What 3D output needs of a frame: its depth, its intrinsics, and where its camera is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from amodal_ros.depth.camera import PinholeCamera, RigidTransform
from amodal_ros.depth.registration import register_depth
from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.depth import camera_from_info, depth_from_message
from amodal_ros.ros.convert.stamps import NS_PER_S, stamp_to_ns
from amodal_ros.ros.inputs.depth_input import DepthImage, DepthInput
from amodal_ros.ros.inputs.transform_buffer import KEPT_S
from amodal_ros.ros.inputs.transforms import Lack, NoTransformError, wait_for_transform
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.watch.faults import Doubt, Fault, FaultLog
from amodal_ros.ros.watch.plausibility import depth_units, other_frame

# Names of the counters of frames without 3D output.
WITHOUT_DEPTH = "frames_without_depth"
WITHOUT_INFO = "frames_without_camera_info"
BAD_DEPTH = "frames_with_bad_depth"
BAD_INFO = "frames_with_bad_camera_info"
NO_TRANSFORM = "transforms_missing"
EXTRAPOLATED = "transforms_extrapolated"
LACKS = (WITHOUT_DEPTH, WITHOUT_INFO, BAD_DEPTH, BAD_INFO, NO_TRANSFORM, EXTRAPOLATED)
MISSES_IN_A_ROW = 3
_NOT_ALIGNED = "; where depth is not aligned with the images: set depth_camera_info_topic"


class MissingError(Exception):
    """A frame has no 3D output.

    Attributes:
        counter: one of `LACKS`.
    """

    def __init__(self, counter: str, text: str) -> None:
        super().__init__(text)
        self.counter = counter


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
        self._stamp_ns = 0

    def read(
        self,
        header: Header,
        image_hw: tuple[int, int],
        depth: DepthImage | None,
        inputs: DepthInput,
        parameters: PerceptionParameters,
    ) -> FrameGeometry:
        """Of one frame.

        Args:
            header: of its image.
            image_hw: height and width of its image.
            depth: of the same moment; None: none has come.
            inputs: knows frames, intrinsics and transforms, and why something has not come.
            parameters: unit and range of depth, patience.

        Raises:
            MissingError: with what is missing, why, and what to do.
        """
        stamp_ns = stamp_to_ns(header.stamp)
        depth_m, camera, late = self.image_depth(header, image_hw, depth, inputs, parameters)
        to_published, published = RigidTransform.identity(), header
        if inputs.target_frame:
            to_published, waited = self._transform(
                inputs.target_frame, header.frame_id, stamp_ns, inputs, parameters
            )
            late |= waited
            published = Header(stamp=header.stamp, frame_id=inputs.target_frame)
        if not np.isfinite(depth_m).any():
            raise MissingError(BAD_DEPTH, "no pixel of the depth image has a depth")
        return FrameGeometry(depth_m, camera, to_published, published, late)

    def clear(self) -> None:
        """End all alarms."""
        for doubt in (*self._frames.values(), self._units):
            doubt.clear()

    def image_depth(
        self,
        header: Header,
        image_hw: tuple[int, int],
        depth: DepthImage | None,
        inputs: DepthInput,
        parameters: PerceptionParameters,
    ) -> tuple[np.ndarray, PinholeCamera, bool]:
        """Depth in the image's pixels, the image's intrinsics, and whether it took waiting.

        Raises:
            MissingError: with what is missing, why, and what to do.
        """
        if depth is None:
            raise MissingError(WITHOUT_DEPTH, inputs.why_no_depth(stamp_to_ns(header.stamp)))
        info, depth_info = inputs.info, inputs.depth_info
        if info is None or (inputs.separate and depth_info is None):
            raise MissingError(WITHOUT_INFO, inputs.why_no_info())
        depth_m = self._metres(depth, parameters)
        self._look_at_frames(header, info.header, None if inputs.separate else depth.header)
        try:
            if depth_info is None and depth_m.shape != image_hw:
                raise MissingError(
                    BAD_DEPTH,
                    f"the depth image has {depth_m.shape[1]}x{depth_m.shape[0]} pixels, the image "
                    f"{image_hw[1]}x{image_hw[0]}: use depth that is aligned with the image"
                    f"{_NOT_ALIGNED}",
                )
            camera = camera_from_info(info, image_hw)
            if depth_info is None:
                return depth_m, camera, False
            depth_camera = camera_from_info(depth_info, depth_m.shape)
        except InvalidInputError as error:
            raise MissingError(BAD_INFO, str(error)) from error
        between, waited = self._transform(
            *(header.frame_id, depth.header.frame_id, stamp_to_ns(header.stamp)),
            *(inputs, parameters),
        )
        registered = register_depth(depth_m, depth_camera, camera, between, image_hw)
        return registered, camera, waited

    def _metres(self, depth: DepthImage, parameters: PerceptionParameters) -> np.ndarray:
        scale = parameters.depth_scale
        try:
            depth_m = depth_from_message(depth, scale)
        except InvalidInputError as error:
            raise MissingError(BAD_DEPTH, str(error)) from error
        encoding = depth.encoding if isinstance(depth, Image) else depth.format[:5]
        self._units.see(depth_units(depth_m, encoding, scale))
        outside = depth_m < parameters.depth_min
        if parameters.depth_max > 0:
            outside |= depth_m > parameters.depth_max
        depth_m[outside] = np.nan
        return depth_m

    def _look_at_frames(self, header: Header, info: Header, depth: Header | None) -> None:
        """Whether intrinsics and aligned depth are of the image's camera."""
        self._frames["camera_info"].see(other_frame("camera_info", info.frame_id, header.frame_id))
        of_depth = None
        if depth is not None:
            of_depth = other_frame("depth images", depth.frame_id, header.frame_id)
        self._frames["depth images"].see(of_depth and of_depth + _NOT_ALIGNED)

    def _transform(
        self,
        target: str,
        source: str,
        stamp_ns: int,
        inputs: DepthInput,
        parameters: PerceptionParameters,
    ) -> tuple[RigidTransform, bool]:
        transforms = inputs.transforms
        if transforms is None or not source:
            raise MissingError(
                NO_TRANSFORM, "the image or its depth has no frame_id: let the driver set it"
            )
        if self._stamp_ns - stamp_ns > KEPT_S * NS_PER_S:
            transforms.clear()  # a bag starts again
        self._stamp_ns = stamp_ns
        try:
            return wait_for_transform(
                transforms, target, source, stamp_ns, parameters.transform_timeout
            )
        except NoTransformError as error:
            counter = NO_TRANSFORM if error.lack is Lack.MISSING else EXTRAPOLATED
            raise MissingError(counter, str(error)) from error
        except InvalidInputError as error:
            raise MissingError(NO_TRANSFORM, str(error)) from error
