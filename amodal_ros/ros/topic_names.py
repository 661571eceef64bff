# SPDX-License-Identifier: Apache-2.0
"""Names of topics and services where one node serves several cameras."""

from __future__ import annotations


def of_camera(camera: str, name: str) -> str:
    """The name with the camera's prefix; unchanged for the only camera, whose name is empty."""
    return f"{camera}/{name}" if camera else name
