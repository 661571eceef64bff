# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime on CPU and GPU."""
