# SPDX-License-Identifier: Apache-2.0
"""OpenVINO on CPU, Intel GPU and NPU."""
