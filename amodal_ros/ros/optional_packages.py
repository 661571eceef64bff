# SPDX-License-Identifier: Apache-2.0
"""Programs that launch files start where they are installed: a viewer, a detector.

Without them the node is of use all the same, so what is missing is said, and the rest starts.
"""

from __future__ import annotations

import os

from ament_index_python.packages import PackageNotFoundError, get_package_prefix


def missing(package: str, asked_by: str, without_it: str, how: str = "") -> str | None:
    """What to tell where a ROS package is not installed; None where it is.

    Args:
        package: its name.
        asked_by: the argument that asks for it, with its value.
        without_it: what starts all the same.
        how: how it is installed; empty: from the distribution's packages.
    """
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        distribution = os.environ.get("ROS_DISTRO") or "$ROS_DISTRO"
        debian = f"ros-{distribution}-{package.replace('_', '-')}"
        how = how or f"install it with: sudo apt install {debian}"
        return f"WARNING: {asked_by}: package {package} is not installed; {how}. {without_it}"
    return None
