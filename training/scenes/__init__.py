# SPDX-License-Identifier: Apache-2.0
"""Cluttered rendered scenes with true amodal masks, for training (``python -m training.scenes``).

Objects are Sweet Home 3D models and household shapes made here; see docs/scenes.md.
"""
