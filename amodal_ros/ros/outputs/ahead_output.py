# SPDX-License-Identifier: Apache-2.0
"""Publisher of masks where the objects will be when the next image comes."""

from __future__ import annotations

from collections.abc import Sequence

from amodal_msgs.msg import AmodalMaskArray
from rclpy.lifecycle import LifecycleNode
from rclpy.time import Time
from std_msgs.msg import Header

from amodal_ros.occlusion.memory import OcclusionMemory
from amodal_ros.ros.convert.masks import encode_masks
from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.parameters.topic_names import of_camera
from amodal_ros.tracking.ahead import Ahead
from amodal_ros.tracking.types import TrackedObject


class AheadOutput:
    """Publishes ``amodal/masks_ahead`` while somebody subscribes."""

    def __init__(self, node: LifecycleNode, camera: str, depth: int) -> None:
        self._node = node
        self._masks = node.create_lifecycle_publisher(
            AmodalMaskArray, of_camera(camera, "amodal/masks_ahead"), depth
        )
        self._ahead, self._memory = Ahead(), OcclusionMemory()

    def publish(
        self,
        objects: Sequence[TrackedObject],
        header: Header,
        image_hw: tuple[int, int],
        interval_s: float,
        *,
        upright: bool,
    ) -> None:
        """Publish one frame's masks, moved; the stamp says to when.

        Args:
            objects: of the frame.
            header: of its image.
            image_hw: its height and width.
            interval_s: time from one image to the next; 0: not known yet, nothing is published.
            upright: whether the image's lower side is the ground's.
        """
        if not self._masks.get_subscription_count():
            # They are not kept up to date for nobody.
            self._ahead, self._memory = Ahead(), OcclusionMemory()
            return
        stamp_ns = stamp_to_ns(header.stamp)
        moved = self._ahead.moved(objects, stamp_ns / 1e9, interval_s)
        if interval_s <= 0:
            return
        later = Time(nanoseconds=stamp_ns + round(interval_s * 1e9)).to_msg()
        stamped = Header(frame_id=header.frame_id, stamp=later)
        encoded = encode_masks(moved, stamped, image_hw, upright=upright, memory=self._memory)
        self._masks.publish(encoded.message)

    def destroy(self) -> None:
        """Destroy the publisher."""
        self._node.destroy_lifecycle_publisher(self._masks)
