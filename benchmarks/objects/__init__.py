# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of many objects needs of torch: an official predictor, and FLOPs."""
