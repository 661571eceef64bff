# SPDX-License-Identifier: Apache-2.0
"""Depth in the pixels of an image, read once for all that asks for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from amodal_ros.depth.camera import PinholeCamera, RigidTransform
from amodal_ros.depth.registration import register_depth
from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.depth import camera_from_info, depth_from_message
from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.inputs.camera_inputs import Frame
from amodal_ros.ros.inputs.depth_source import DepthImage, DepthSource
from amodal_ros.ros.inputs.transforms import Lack, NoTransformError
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.watch.plausibility import depth_units

# Names of the counters of frames without 3D output.
WITHOUT_DEPTH = "frames_without_depth"
WITHOUT_INFO = "frames_without_camera_info"
BAD_DEPTH = "frames_with_bad_depth"
BAD_INFO = "frames_with_bad_camera_info"
NO_TRANSFORM = "transforms_missing"
EXTRAPOLATED = "transforms_extrapolated"
LACKS = (WITHOUT_DEPTH, WITHOUT_INFO, BAD_DEPTH, BAD_INFO, NO_TRANSFORM, EXTRAPOLATED)
NOT_ALIGNED = "; where depth is not aligned with the images: set depth_camera_info_topic"


class MissingError(Exception):
    """A frame has no 3D output.

    Attributes:
        counter: one of `LACKS`.
    """

    def __init__(self, counter: str, text: str) -> None:
        super().__init__(text)
        self.counter = counter


@dataclass(frozen=True, eq=False)
class ImageDepth:
    """Of one image.

    Attributes:
        depth_m: (H, W) float32 metres in the image's pixels, NaN where unknown.
        camera: intrinsics of the image.
        late: a transform had to be waited for.
        units: what is implausible of them; None: nothing.
        info_frame: ``frame_id`` of the intrinsics.
        depth_frame: ``frame_id`` of the depth image.
    """

    depth_m: np.ndarray
    camera: PinholeCamera
    late: bool
    units: str | None
    info_frame: str
    depth_frame: str


@dataclass(frozen=True, eq=False)
class MetricDepth:
    """A depth image in its own pixels.

    Attributes:
        depth_m: (h, w) float32 metres within the range that is wanted, NaN where unknown.
        units: what is implausible of them; None: nothing.
        frame_id: of its message.
    """

    depth_m: np.ndarray
    units: str | None
    frame_id: str


def read_image_depth(
    header: Header,
    image_hw: tuple[int, int],
    depth: MetricDepth,
    inputs: DepthSource,
    timeout_s: float,
) -> ImageDepth:
    """Depth in an image's pixels.

    Raises:
        MissingError: with what is missing, why, and what to do.
    """
    info, depth_info = inputs.info, inputs.depth_info
    if info is None or (inputs.separate and depth_info is None):
        raise MissingError(WITHOUT_INFO, inputs.why_no_info())
    depth_m, late = depth.depth_m, False
    try:
        if depth_info is None and depth_m.shape != image_hw:
            raise MissingError(
                BAD_DEPTH,
                f"the depth image has {depth_m.shape[1]}x{depth_m.shape[0]} pixels, the image "
                f"{image_hw[1]}x{image_hw[0]}: use depth that is aligned with the image"
                f"{NOT_ALIGNED}",
            )
        camera = camera_from_info(info, image_hw)
        depth_camera = None if depth_info is None else camera_from_info(depth_info, depth_m.shape)
    except InvalidInputError as error:
        raise MissingError(BAD_INFO, str(error)) from error
    if depth_camera is not None:
        stamp_ns, frames = stamp_to_ns(header.stamp), (header.frame_id, depth.frame_id)
        between, late = transform_at(*frames, stamp_ns, inputs, timeout_s)
        depth_m = register_depth(depth_m, depth_camera, camera, between, image_hw)
    return ImageDepth(depth_m, camera, late, depth.units, info.header.frame_id, depth.frame_id)


def transform_at(
    target: str, source: str, stamp_ns: int, inputs: DepthSource, timeout_s: float
) -> tuple[RigidTransform, bool]:
    """From the frame `source` to the frame `target`, and whether it had to be waited for.

    Raises:
        MissingError: with what is missing, why, and what to do.
    """
    if not source:
        raise MissingError(
            NO_TRANSFORM, "the image or its depth has no frame_id: let the driver set it"
        )
    try:
        return inputs.transform(target, source, stamp_ns, timeout_s)
    except NoTransformError as error:
        counter = NO_TRANSFORM if error.lack is Lack.MISSING else EXTRAPOLATED
        raise MissingError(counter, str(error)) from error
    except InvalidInputError as error:
        raise MissingError(NO_TRANSFORM, str(error)) from error


def metric_depth(depth: DepthImage, parameters: PerceptionParameters) -> MetricDepth:
    """A depth image in metres.

    Raises:
        MissingError: it cannot be read; says why.
    """
    scale = parameters.depth_scale
    try:
        depth_m = depth_from_message(depth, scale)
    except InvalidInputError as error:
        raise MissingError(BAD_DEPTH, str(error)) from error
    encoding = depth.encoding if isinstance(depth, Image) else depth.format[:5]
    units = depth_units(depth_m, encoding, scale)
    outside = depth_m < parameters.depth_min
    if parameters.depth_max > 0:
        outside |= depth_m > parameters.depth_max
    depth_m[outside] = np.nan
    return MetricDepth(depth_m, units, depth.header.frame_id)


def depth_at_once(
    frame: Frame,
    depth: DepthImage | None,
    image_hw: tuple[int, int],
    parameters: PerceptionParameters,
) -> ImageDepth | None:
    """What is there when a frame is answered: masks wait neither for depth nor for TF.

    Without depth masks decide alone. What is missing or wrong is told where 3D is published.

    Args:
        frame: its messages.
        depth: of its moment, where it came before; None: it is looked for.
        image_hw: height and width of its image.
        parameters: unit and range of depth.

    Returns:
        None where there is none.
    """
    if frame.depth is None:
        return None
    depth = depth or frame.depth.at(frame.stamp_ns)
    if depth is None:
        return None
    header = frame.image.header
    try:
        metric = metric_depth(depth, parameters)
        return read_image_depth(header, image_hw, metric, frame.depth, timeout_s=0.0)
    except MissingError:
        return None
