# SPDX-License-Identifier: Apache-2.0
"""Objects over time: the last amodal mask becomes the next M_spec (paper 3.5)."""
