# SPDX-License-Identifier: Apache-2.0
"""Keeps what 3D needs: the last depth images, to be found by stamp, intrinsics, transforms."""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import partial

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from amodal_ros.depth.camera import RigidTransform
from amodal_ros.ros.convert.stamps import NS_PER_S, stamp_to_ns
from amodal_ros.ros.inputs.depth_source import DepthImage
from amodal_ros.ros.inputs.subscription import InputSubscription
from amodal_ros.ros.inputs.transform_buffer import KEPT_S
from amodal_ros.ros.inputs.transforms import (
    Lack,
    NoTransformError,
    Transforms,
    open_transforms,
    wait_for_transform,
)
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.parameters.topic_names import depth_topic, of_camera
from amodal_ros.ros.watch.graph import silence_cause


class DepthInput:
    """The `DepthSource` of a running camera: receives in the executor, is asked by the worker.

    Attributes:
        separate: depth is another camera's, and not aligned with the images.
        target_frame: of what is published; empty: the image's.

    Raises:
        InvalidInputError: if transforms are needed, and their messages are not installed.
    """

    def __init__(self, node: Node, camera: str, parameters: PerceptionParameters) -> None:
        self._node = node
        self._slop_ns = round(parameters.slop * NS_PER_S)
        self._kept = parameters.sync_queue_size
        self._lock = threading.Lock()
        self._images: OrderedDict[int, DepthImage] = OrderedDict()
        self.info: CameraInfo | None = None
        self.depth_info: CameraInfo | None = None
        self.separate = bool(parameters.depth_camera_info_topic)
        self.target_frame = parameters.target_frame
        self._transforms: Transforms | None = None
        if self.separate or parameters.target_frame:
            self._transforms = open_transforms(node)
        self._asked_ns = 0
        self._depth = InputSubscription(
            node,
            Image if parameters.depth_transport == "raw" else CompressedImage,
            of_camera(camera, depth_topic(parameters)),
            self._on_depth,
            parameters.image_reliability,
        )
        self._infos = InputSubscription(
            node,
            CameraInfo,
            of_camera(camera, parameters.camera_info_topic),
            partial(setattr, self, "info"),
        )
        self._depth_infos: InputSubscription | None = None
        if self.separate:
            topic = of_camera(camera, parameters.depth_camera_info_topic)
            self._depth_infos = InputSubscription(
                node, CameraInfo, topic, partial(setattr, self, "depth_info")
            )

    def at(self, stamp_ns: int) -> DepthImage | None:
        """The depth image of a stamp, or the nearest within the slop; None: there is none."""
        with self._lock:
            nearest = min(self._images, key=lambda other: abs(other - stamp_ns), default=None)
            if nearest is None or abs(nearest - stamp_ns) > self._slop_ns:
                return None
            return self._images[nearest]

    def why_no_depth(self, stamp_ns: int) -> str:
        """Why there is no depth image for an image's stamp, and what to do."""
        topic = self._depth.topic
        with self._lock:
            nearest = min(self._images, key=lambda other: abs(other - stamp_ns), default=None)
        if nearest is None:
            return f"no depth image has come on {topic}: {silence_cause(self._node, topic, False)}"
        return (
            f"no depth image on {topic} has the image's stamp, the nearest differs by "
            f"{abs(nearest - stamp_ns) / 1e6:.4g} ms: allow slop, or let the camera send both at "
            "one time"
        )

    def why_no_info(self) -> str:
        """Why there are no intrinsics, and what to do."""
        infos = self._infos
        if self.info is not None and self._depth_infos is not None:
            infos = self._depth_infos
        topic = infos.topic
        return f"no camera_info has come on {topic}: {silence_cause(self._node, topic, False)}"

    def transform(
        self, target: str, source: str, stamp_ns: int, timeout_s: float
    ) -> tuple[RigidTransform, bool]:
        """From a frame to another at an image's stamp; see `wait_for_transform`.

        Raises:
            NoTransformError: if it is not known, or does not come in time.
            InvalidInputError: if what was published is no rotation.
        """
        if self._transforms is None:
            raise NoTransformError(Lack.MISSING, "no parameter asks for transforms")
        if self._asked_ns - stamp_ns > KEPT_S * NS_PER_S:
            self._transforms.clear()  # a bag starts again
        self._asked_ns = stamp_ns
        return wait_for_transform(self._transforms, target, source, stamp_ns, timeout_s)

    def check(self) -> None:
        """Follow what the publishers offer; call it now and then."""
        for subscription in self._subscriptions:
            subscription.check()

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            subscription.close()
        if self._transforms is not None:
            self._transforms.close()

    @property
    def _subscriptions(self) -> list[InputSubscription]:
        every = (self._depth, self._infos, self._depth_infos)
        return [subscription for subscription in every if subscription is not None]

    def _on_depth(self, message: DepthImage) -> None:
        with self._lock:
            self._images[stamp_to_ns(message.header.stamp)] = message
            while len(self._images) > self._kept:
                self._images.popitem(last=False)
