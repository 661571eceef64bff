# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table, declared to ROS, changed while it runs."""
