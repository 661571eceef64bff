#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Subscribes to ``amodal/masks`` and decodes every mask: python3 examples/mask_subscriber.py."""

import contextlib

import numpy as np
import rclpy
from amodal_msgs.msg import AmodalMask, AmodalMaskArray
from rclpy.executors import ExternalShutdownException


def on_masks(message: AmodalMaskArray) -> None:
    """Visible and amodal mask of each object; they lie in the image at ``amodal_box``."""
    for mask in message.masks:
        box, picture = mask.amodal_box, mask.mask
        crop = np.frombuffer(picture.data, np.uint8).reshape(picture.height, picture.step)
        crop = crop[:, : picture.width]
        visible, amodal = crop == AmodalMask.VISIBLE, crop > 0
        print(
            f"track {mask.track_id} {mask.class_id or '?'} at ({box.x_offset}, {box.y_offset}): "
            f"{amodal.sum()} px, {visible.sum()} visible, {mask.occlusion_rate:.0%} hidden",
            flush=True,
        )


if __name__ == "__main__":
    rclpy.init()
    node = rclpy.create_node("mask_subscriber")
    node.create_subscription(AmodalMaskArray, "amodal/masks", on_masks, 10)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):  # Ctrl-C, SIGTERM
        while rclpy.ok():
            rclpy.spin_once(node, timeout_sec=1.0)
    node.destroy_node()
    rclpy.try_shutdown()
