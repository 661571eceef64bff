# SPDX-License-Identifier: Apache-2.0
"""From masks and depth to 3D: boxes and points of whole objects.

Frame: the camera's optical frame, x right, y down, z forward, metres. Pixel (u, v) is column and
row with its centre at whole numbers, as in ``sensor_msgs/CameraInfo``; images are undistorted.
docs/space.md says what is measured and what is estimated.
"""
