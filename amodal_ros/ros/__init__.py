# SPDX-License-Identifier: Apache-2.0
"""ROS 2 nodes of amodal_ros: the only place that imports ``rclpy`` and messages."""
