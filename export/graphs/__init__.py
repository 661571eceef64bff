# SPDX-License-Identifier: Apache-2.0
"""Torch modules to ONNX graphs."""
