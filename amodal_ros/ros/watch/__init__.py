# SPDX-License-Identifier: Apache-2.0
"""What is watched and told: faults, silence, QoS, clock, engine, diagnostics."""
