#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps whole objects in MoveIt's planning scene: python3 examples/moveit_scene.py.

Boxes come from ``amodal/detections_3d``, of a node with ``target_frame:=base_link`` (or another
frame that the robot's model is connected to) and ``box_axes:=plane``. move_group takes each
``moveit_msgs/CollisionObject`` on ``/collision_object``.
"""

import contextlib

import rclpy
from geometry_msgs.msg import Pose
from moveit_msgs.msg import CollisionObject
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from shape_msgs.msg import SolidPrimitive
from vision_msgs.msg import Detection3D, Detection3DArray

PADDING_SIGMAS = 1.0  # boxes grow by what their covariance says of their place
LEAST_SIDE_M = 0.005


class MoveItScene(Node):
    """Adds, moves and removes collision objects as boxes come and go."""

    def __init__(self) -> None:
        super().__init__("moveit_scene")
        self._shown: set[str] = set()
        self._objects = self.create_publisher(CollisionObject, "/collision_object", 100)
        self.create_subscription(Detection3DArray, "amodal/detections_3d", self.on_boxes, 10)

    def on_boxes(self, message: Detection3DArray) -> None:
        """Bring the scene up to the newest boxes."""
        seen = {f"amodal_{detection.id}": detection for detection in message.detections}
        for name, detection in seen.items():
            self._objects.publish(collision_object(name, detection, message))
        for name in self._shown - set(seen):
            gone = CollisionObject(header=message.header, id=name)
            gone.operation = CollisionObject.REMOVE
            self._objects.publish(gone)
        for name in sorted(set(seen) - self._shown):
            size = seen[name].bbox.size
            self.get_logger().info(f"{name}: {size.x:.3f} x {size.y:.3f} x {size.z:.3f} m")
        self._shown = set(seen)


def collision_object(
    name: str, detection: Detection3D, message: Detection3DArray
) -> CollisionObject:
    """A box where the whole object is; one of the same id takes its place in the scene."""
    collision = CollisionObject(header=message.header, id=name)
    collision.operation = CollisionObject.ADD
    result = detection.results[0]
    collision.type.key = result.hypothesis.class_id
    collision.pose = detection.bbox.center
    variances = result.pose.covariance[[0, 7, 14]]
    padding = 2 * PADDING_SIGMAS * float(variances.mean()) ** 0.5
    size = detection.bbox.size
    sides = [max(side, LEAST_SIDE_M) + padding for side in (size.x, size.y, size.z)]
    collision.primitives = [SolidPrimitive(type=SolidPrimitive.BOX, dimensions=sides)]
    collision.primitive_poses = [Pose()]  # relative to the object's pose
    return collision


if __name__ == "__main__":
    rclpy.init()
    node = MoveItScene()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):  # Ctrl-C, SIGTERM
        while rclpy.ok():
            rclpy.spin_once(node, timeout_sec=1.0)
    node.destroy_node()
    rclpy.try_shutdown()
