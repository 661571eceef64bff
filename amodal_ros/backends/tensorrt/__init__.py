# SPDX-License-Identifier: Apache-2.0
"""TensorRT and TensorRT for RTX: engines found, loaded, run."""
