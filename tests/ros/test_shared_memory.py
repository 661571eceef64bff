# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile that ships: it is taken, and whole images fit into its memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rclpy import get_rmw_implementation_identifier

PROFILE = Path(__file__).parents[2] / "config" / "fastdds_shared_memory.xml"
SEGMENT_BYTES = 16 * 2**20
PROGRAM = """
import os, rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image

rclpy.init()
node, received = Node("images"), []
publisher = node.create_publisher(Image, "image", 5)
node.create_subscription(Image, "image", received.append, 5)
image = Image(height=720, width=1280, step=3840, encoding="rgb8", data=bytes(720 * 3840))
for _ in range(200):
    if received:
        break
    publisher.publish(image)
    rclpy.spin_once(node, timeout_sec=0.1)
print("received", len(received[0].data))
maps = [line.split() for line in open("/proc/self/maps") if "/dev/shm/fast" in line]
print("largest", max(int(m[0].split("-")[1], 16) - int(m[0].split("-")[0], 16) for m in maps))
"""


@pytest.mark.skipif(
    "fastrtps" not in get_rmw_implementation_identifier(), reason="another middleware"
)
def test_a_whole_image_goes_through_memory_that_holds_it():
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **dict.fromkeys(names, str(PROFILE))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "XMLPARSER" not in done.stdout + done.stderr
    assert f"received {720 * 3840}" in done.stdout
    assert int(done.stdout.split("largest ")[1]) >= SEGMENT_BYTES
