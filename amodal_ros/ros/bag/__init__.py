# SPDX-License-Identifier: Apache-2.0
"""Recordings (MCAP, rosbag2) in and out: ``python -m amodal_ros.ros.bag in.mcap out.mcap``."""
