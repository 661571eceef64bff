# SPDX-License-Identifier: Apache-2.0
"""A camera with depth, for tests of what depth leads to."""

from __future__ import annotations

import array
import struct

import cv2
import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from tests.ros.ros_rig import boxes_message, image_message, picture

HW = (120, 160)
BOX = (20.0, 30.0, 60.0, 80.0)
DEPTH_M = 1.5
FOCAL_PX = 200.0
CENTRE_PX = (80.0, 60.0)


def depth_message(header, encoding="16UC1", padding=0, big_endian=False, values=None) -> Image:
    dtype = {"16UC1": "u2", "32FC1": "f4"}[encoding]
    if values is None:
        values = DEPTH_M * (1000 if encoding == "16UC1" else 1)
    values = np.full(HW, values)
    pixels = values.astype((">" if big_endian else "<") + dtype)
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(HW[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    message = Image(header=header, height=HW[0], width=HW[1], encoding=encoding)
    message.step, message.is_bigendian = rows.shape[1], big_endian
    message.data = array.array("B", rows.tobytes())
    return message


def compressed_depth(header=None, encoding="16UC1", values=None) -> CompressedImage:
    """As compressed_depth_image_transport sends it; values (H, W) in metres."""
    metres = np.full(HW, DEPTH_M) if values is None else values
    a, b = 100.0, 2.0
    with np.errstate(divide="ignore"):
        quantised = np.where(metres > 0, a / metres + b, 0)
    pixels = metres * 1000 if encoding == "16UC1" else quantised
    _, png = cv2.imencode(".png", np.round(pixels).astype(np.uint16))
    message = CompressedImage(header=header or Header(), format=f"{encoding}; compressedDepth png")
    message.data = array.array("B", struct.pack("<iff", 0, a, b) + png.tobytes())
    return message


def info_message(header, p=True) -> CameraInfo:
    info = CameraInfo(header=header, height=HW[0], width=HW[1])
    info.k = [FOCAL_PX, 0.0, CENTRE_PX[0], 0.0, FOCAL_PX, CENTRE_PX[1], 0.0, 0.0, 1.0]
    if p:
        info.p = [FOCAL_PX, 0.0, CENTRE_PX[0], 0.0, 0.0, FOCAL_PX, CENTRE_PX[1], 0.0, *[0.0] * 4]
    return info


class DepthCamera:
    """The rig's camera, with depth; `wanted`: somebody subscribes to boxes and points."""

    def __init__(
        self, make_rig, latched_info=False, depth_transport="raw", wanted=True, **parameters
    ):
        self.rig = make_rig(
            activate=False,
            depth_topic="camera/depth",
            depth_transport=depth_transport,
            **parameters,
        )
        camera = self.rig.camera
        info_qos = QoSProfile(depth=10)
        if latched_info:
            info_qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        self.infos = camera.node.create_publisher(CameraInfo, "camera/camera_info", info_qos)
        if latched_info:
            self.infos.publish(info_message(camera.header()))
        assert camera.change_state(1)
        assert camera.change_state(3)
        if depth_transport == "raw":
            self.depths = camera.node.create_publisher(Image, "camera/depth", 10)
        else:
            self.depths = camera.node.create_publisher(
                CompressedImage, "camera/depth/compressedDepth", 10
            )
        subscribed = {"/amodal/detections_3d": Detection3DArray, "/amodal/points": PointCloud2}
        self.boxes, self.clouds = (
            camera.subscribe(kind, name[1:]) if wanted else [] for name, kind in subscribed.items()
        )
        self.rig.wait_connected(camera)
        outputs = [p for p in self.rig.node.publishers if p.topic_name.startswith("/amodal/")]
        connected = subscribed if wanted else ()
        camera.wait(
            lambda: (
                self.depths.get_subscription_count()
                and self.infos.get_subscription_count()
                and all(p.get_subscription_count() for p in outputs if p.topic_name in connected)
            ),
            "the connection",
        )

    def ask(self, depth=depth_message, info=info_message, before=None, boxes=(BOX,)):
        """A frame and its answer; `before` is called with its header before the image is sent."""
        camera = self.rig.camera
        header = camera.header()
        if info is not None:
            self.infos.publish(info(header))
        if depth is not None:
            self.depths.publish(depth(header))
        camera.spin_for(0.1)
        if before is not None:
            before(header)
        camera.images.publish(image_message(picture(), header))
        camera.boxes.publish(boxes_message(boxes, header))
        camera.wait_answer(header)
        return header
