# SPDX-License-Identifier: Apache-2.0
"""``scripts/demo``: camera, node and recorder on real ROS 2, and what they write."""
