# SPDX-License-Identifier: Apache-2.0
"""Peak resident memory of a contestant, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from export.benchmarking.contestants import Entry, open_contestant
from export.benchmarking.scene import draw_scene

_ROOT = Path(__file__).resolve().parents[2]


def peak_rss_mb(entry: Entry, objects: int, frames: int = 2) -> float:
    """The most memory, in megabytes of a million bytes, that a process with the contestant needs.

    Raises:
        RuntimeError: when the process fails.
    """
    task = json.dumps({"entry": entry.to_dict(), "objects": objects, "frames": frames})
    command = [sys.executable, "-m", "export.benchmarking.memory", task]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{entry.kind} with {objects} objects failed:\n{done.stderr}")
    return float(done.stdout)


def main(argv: Sequence[str]) -> int:
    """In the process of its own: runs the contestant and prints its peak memory."""
    task = json.loads(argv[0])
    contestant = open_contestant(Entry(**task["entry"]))
    image, boxes = draw_scene(task["objects"])
    for _ in range(task["frames"]):
        contestant.run(image, boxes)
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    print(int(line.split()[1]) * 1024 / 1e6)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
