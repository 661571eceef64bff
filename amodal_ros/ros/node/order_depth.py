# SPDX-License-Identifier: Apache-2.0
"""The depth by which it is decided who hides whom."""

from __future__ import annotations

from amodal_ros.ros.inputs.camera_inputs import Frame
from amodal_ros.ros.inputs.depth_input import DepthImage
from amodal_ros.ros.outputs.image_depth import ImageDepth, MissingError, read_image_depth
from amodal_ros.ros.parameters.table import PerceptionParameters


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
    header = frame.image.header
    try:
        return read_image_depth(header, image_hw, depth, frame.depth, parameters, timeout_s=0.0)
    except MissingError:
        return None
