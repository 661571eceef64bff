# SPDX-License-Identifier: Apache-2.0
"""Other commands of this project, each in a process of its own.

Training does not import the export or the benchmarks, and MuJoCo's renderer cannot live in one
process with torch.
"""

from __future__ import annotations

import subprocess
import sys

from amodal_ros.errors import InvalidInputError


def run_command(module: str, *arguments: str) -> None:
    """Run ``python -m module``; what it logs is seen, what it prints is not.

    Raises:
        InvalidInputError: it failed; its message is on standard error.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise InvalidInputError(f"python -m {module} failed ({done.returncode}), see above")
