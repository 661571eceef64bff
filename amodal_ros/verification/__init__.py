# SPDX-License-Identifier: Apache-2.0
"""The precision gate: an engine's masks against those of float32, on the machine where it runs."""
