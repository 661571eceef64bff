# SPDX-License-Identifier: Apache-2.0
"""Visible and amodal instance masks for robots."""

from __future__ import annotations

__version__ = "0.1.0"
