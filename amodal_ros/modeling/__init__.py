# SPDX-License-Identifier: Apache-2.0
"""Torch models: the Spatial Completion Adapter and the amodal segmenters built around it."""
