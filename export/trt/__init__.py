# SPDX-License-Identifier: Apache-2.0
"""From a model folder's ONNX graphs to TensorRT engines. Needs `onnx`, never torch."""
