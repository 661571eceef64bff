# SPDX-License-Identifier: Apache-2.0
"""MuJoCo scenes with exact visible and amodal masks: the demo clip and rendered benchmarks."""
