# SPDX-License-Identifier: Apache-2.0
"""Streaming accuracy: what is published at each moment against what is true at that moment.

After "Towards Streaming Perception" (Li, Wang, Ramanan; ECCV 2020).
"""
