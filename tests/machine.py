# SPDX-License-Identifier: Apache-2.0
"""What a machine may lack: tests that need it carry a marker and are skipped with the reason."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from amodal_ros.errors import BackendError
from training.rendering.sh3f import DEBIAN_FOLDER
from training.worker_processes import check_drawing

# A folder with the models where they are not Debian's: the package unpacked by hand, say.
FURNITURE_FOLDER = Path(os.environ.get("SWEETHOME3D_FURNITURE") or DEBIAN_FOLDER)
MARKERS = {
    "rendering": "needs OpenGL without a screen, which scripts/test installs where it can",
    "furniture": "needs Debian's sweethome3d-furniture, which scripts/test installs where it can",
}


@functools.cache
def lacks(marker: str) -> bool:
    """Says whether this machine lacks what a marker stands for."""
    if marker == "furniture":
        return not FURNITURE_FOLDER.is_dir()
    try:
        check_drawing()
    except BackendError:
        return True
    return False
