# SPDX-License-Identifier: Apache-2.0
"""The node itself: life cycle, model, cameras, the way of a frame, services."""
