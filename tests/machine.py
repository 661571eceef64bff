# SPDX-License-Identifier: Apache-2.0
"""What a machine may lack: tests that need it carry a marker and are skipped with the reason."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

from training.rendering.sh3f import DEBIAN_FOLDER

# A folder with the models where they are not Debian's: the package unpacked by hand, say.
FURNITURE_FOLDER = Path(os.environ.get("SWEETHOME3D_FURNITURE") or DEBIAN_FOLDER)
MARKERS = {
    "rendering": "needs OpenGL without a screen, which scripts/test installs where it can",
    "furniture": "needs Debian's sweethome3d-furniture, which scripts/test installs where it can",
}
_PROBE = (
    "import os; os.environ.setdefault('MUJOCO_GL', 'osmesa'); import mujoco;"
    "context = mujoco.GLContext(8, 8); context.make_current(); context.free()"
)


@functools.cache
def lacks(marker: str) -> bool:
    """Says whether this machine lacks what a marker stands for."""
    if marker == "furniture":
        return not FURNITURE_FOLDER.is_dir()
    # In a process of its own: where OpenGL is broken, the process that tries it may die.
    probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, timeout=120)
    return probe.returncode != 0
