# SPDX-License-Identifier: Apache-2.0
"""Learns how much each witness of an occlusion pair counts (``python -m training.pair_order``)."""
