# SPDX-License-Identifier: Apache-2.0
"""Keeps the last depth images of a camera and its intrinsics, to be found by stamp."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TypeAlias

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from amodal_ros.ros.convert.stamps import NS_PER_S, stamp_to_ns
from amodal_ros.ros.inputs.subscription import InputSubscription
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.parameters.topic_names import depth_topic, of_camera
from amodal_ros.ros.watch.graph import silence_cause

DepthImage: TypeAlias = Image | CompressedImage


class DepthInput:
    """Receives in the node's executor, is asked by the worker.

    Args:
        node: owns the subscriptions.
        camera: name that prefixes the topics; empty: none.
        parameters: topics, reliability, slop, how many are kept (as many as images).
    """

    def __init__(self, node: Node, camera: str, parameters: PerceptionParameters) -> None:
        self._node = node
        self._slop_ns = round(parameters.slop * NS_PER_S)
        self._kept = parameters.sync_queue_size
        self._lock = threading.Lock()
        self._images: OrderedDict[int, DepthImage] = OrderedDict()
        self._info: CameraInfo | None = None
        self._depth = InputSubscription(
            node,
            Image if parameters.depth_transport == "raw" else CompressedImage,
            of_camera(camera, depth_topic(parameters)),
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
        topic = self._infos.topic
        return f"no camera_info has come on {topic}: {silence_cause(self._node, topic, False)}"

    def check(self) -> None:
        """Follow what the publishers offer; call it now and then."""
        self._depth.check()
        self._infos.check()

    def close(self) -> None:
        """Unsubscribe."""
        self._depth.close()
        self._infos.close()

    def _on_depth(self, message: DepthImage) -> None:
        with self._lock:
            self._images[stamp_to_ns(message.header.stamp)] = message
            while len(self._images) > self._kept:
                self._images.popitem(last=False)

    def _on_info(self, message: CameraInfo) -> None:
        self._info = message
