# SPDX-License-Identifier: Apache-2.0
"""Inference engines: one file per kind, each loading its vendor's library only when it is used."""

from __future__ import annotations

from amodal_ros.backends.base import Backend

__all__ = ["Backend"]
