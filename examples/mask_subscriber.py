#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Subscribes to ``amodal/masks`` and decodes every mask: python3 examples/mask_subscriber.py."""

import contextlib

import numpy as np
import rclpy
from amodal_msgs.msg import AmodalMask, AmodalMaskArray
from rclpy.executors import ExternalShutdownException


def hidden_by(mask: AmodalMask, message: AmodalMaskArray) -> str:
    """Who hides an object, and how much of its hidden part each covers."""
    parts = []
    for index, share in zip(mask.occluder_indices, mask.occluder_shares, strict=True):
        other = message.masks[index]
        parts.append(f"{share:.0%} by track {other.track_id} {other.class_id or '?'}")
    if mask.unknown_share:
        parts.append(f"{mask.unknown_share:.0%} by something unknown")
    return f" ({', '.join(parts)})" if parts else ""


def on_masks(message: AmodalMaskArray) -> None:
    """Visible and amodal mask of each object; they lie in the image at ``amodal_box``."""
    for mask in message.masks:
        box, picture = mask.amodal_box, mask.mask
        crop = np.frombuffer(picture.data, np.uint8).reshape(picture.height, picture.step)
        crop = crop[:, : picture.width]
        visible, amodal = crop == AmodalMask.VISIBLE, crop > 0
        print(
            f"track {mask.track_id} {mask.class_id or '?'} at ({box.x_offset}, {box.y_offset}): "
            f"{amodal.sum()} px, {visible.sum()} visible, {mask.occlusion_rate:.0%} hidden"
            f"{hidden_by(mask, message)}",
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
