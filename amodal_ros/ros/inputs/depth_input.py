# SPDX-License-Identifier: Apache-2.0
"""Keeps the last depth images of a camera and its intrinsics, to be found by stamp."""

from __future__ import annotations

import threading
from collections import OrderedDict

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from amodal_ros.ros.convert.stamps import NS_PER_S, stamp_to_ns
from amodal_ros.ros.inputs.subscription import InputSubscription
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.parameters.topic_names import of_camera


class DepthInput:
    """Receives in the node's executor, is asked by the worker.

    Args:
        node: owns the subscriptions.
        camera: name that prefixes the topics; empty: none.
        parameters: topics, reliability, slop, how many are kept (as many as images).
    """

    def __init__(self, node: Node, camera: str, parameters: PerceptionParameters) -> None:
        self._slop_ns = round(parameters.slop * NS_PER_S)
        self._kept = parameters.sync_queue_size
        self._lock = threading.Lock()
        self._images: OrderedDict[int, Image] = OrderedDict()
        self._info: CameraInfo | None = None
        self._depth = InputSubscription(
            node,
            Image,
            of_camera(camera, parameters.depth_topic),
            self._on_depth,
            parameters.image_reliability,
        )
        self._infos = InputSubscription(
            node, CameraInfo, of_camera(camera, parameters.camera_info_topic), self._on_info
        )

    @property
    def info(self) -> CameraInfo | None:
        """The newest intrinsics."""
        return self._info

    def at(self, stamp_ns: int) -> Image | None:
        """The depth image of a stamp, or the nearest within the slop; None: there is none."""
        with self._lock:
            nearest = min(self._images, key=lambda other: abs(other - stamp_ns), default=None)
            if nearest is None or abs(nearest - stamp_ns) > self._slop_ns:
                return None
            return self._images[nearest]

    def check(self) -> None:
        """Follow what the publishers offer; call it now and then."""
        self._depth.check()
        self._infos.check()

    def close(self) -> None:
        """Unsubscribe."""
        self._depth.close()
        self._infos.close()

    def _on_depth(self, message: Image) -> None:
        with self._lock:
            self._images[stamp_to_ns(message.header.stamp)] = message
            while len(self._images) > self._kept:
                self._images.popitem(last=False)

    def _on_info(self, message: CameraInfo) -> None:
        self._info = message
