# SPDX-License-Identifier: Apache-2.0
"""What 3D asks for: depth, intrinsics, transforms. Of a running camera, or of a recording."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from amodal_ros.depth.camera import RigidTransform

DepthImage: TypeAlias = Image | CompressedImage


class DepthSource(Protocol):
    """`DepthInput` receives them, `bag.depth.RecordedDepth` reads them."""

    @property
    def separate(self) -> bool:
        """Whether depth is another camera's, and not aligned with the images."""

    @property
    def target_frame(self) -> str:
        """Of what is published; empty: the image's."""

    @property
    def info(self) -> CameraInfo | None:
        """The newest intrinsics of the images."""

    @property
    def depth_info(self) -> CameraInfo | None:
        """The newest intrinsics of the depth camera; None where depth is aligned, too."""

    def at(self, stamp_ns: int) -> DepthImage | None:
        """The depth image of a stamp, or the nearest within the slop; None: there is none."""

    def why_no_depth(self, stamp_ns: int) -> str:
        """Why there is no depth image for an image's stamp, and what to do."""

    def why_no_info(self) -> str:
        """Why there are no intrinsics, and what to do."""

    def transform(
        self, target: str, source: str, stamp_ns: int, timeout_s: float
    ) -> tuple[RigidTransform, bool]:
        """From a frame to another at an image's stamp, and whether it came late.

        Raises:
            NoTransformError: if it is not known, or does not come in time.
            InvalidInputError: if what was published is no rotation.
        """
