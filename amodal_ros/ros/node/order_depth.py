# SPDX-License-Identifier: Apache-2.0
"""The depth by which it is decided who hides whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from amodal_ros.ros.inputs.camera_inputs import Frame
from amodal_ros.ros.inputs.depth_input import DepthImage
from amodal_ros.ros.outputs.frame_geometry import GeometryReader, MissingError
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.watch.faults import FaultLog


class OrderDepth:
    """Reads what is there when a frame is answered: masks wait neither for depth nor for TF.

    Without depth masks decide alone. What is missing or wrong is told where 3D is published.
    """

    def __init__(self) -> None:
        self._reader = GeometryReader(FaultLog(lambda text: None))

    def of(
        self,
        frame: Frame,
        depth: DepthImage | None,
        image_hw: tuple[int, int],
        parameters: PerceptionParameters,
    ) -> np.ndarray | None:
        """(H, W) float32 metres in the image's pixels, NaN where unknown; None: there is none.

        Args:
            frame: its messages.
            depth: of its moment, where it came before; None: it is looked for.
            image_hw: height and width of its image.
            parameters: unit and range of depth.
        """
        if frame.depth is None:
            return None
        depth = depth or frame.depth.at(frame.stamp_ns)
        at_once = replace(parameters, transform_timeout=0.0)
        try:
            depth_m, _, _ = self._reader.image_depth(
                frame.image.header, image_hw, depth, frame.depth, at_once
            )
        except MissingError:
            return None
        return depth_m
