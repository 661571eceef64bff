# SPDX-License-Identifier: Apache-2.0
"""The perception node as a process of its own, and a camera for it on a network of their own."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import ROOT

if TYPE_CHECKING:
    from benchmarks.lockstep_camera import LockstepCamera, Scene

START_TIMEOUT_S = 120.0


def own_network() -> None:
    """Lets this process and those that it starts hear nobody else."""
    os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 101))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


class NodeProcess:
    """The perception node in a process of its own; its log is shown if it does not start."""

    def __init__(self, parameters: Mapping[str, object]) -> None:
        parameters = {"frame_budget": 0.0, **parameters}  # every object in every image
        pairs = [("-p", f"{name}:={value}") for name, value in parameters.items()]
        flags = [part for pair in pairs for part in pair]
        self._log = tempfile.NamedTemporaryFile("w+", suffix=".log")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "amodal_ros.ros.node.perception_node", "--ros-args", *flags],
            cwd=ROOT,
            stdout=self._log,
            stderr=self._log,
        )

    def wait_active(self) -> None:
        """Wait until it subscribes.

        Raises:
            RuntimeError: if it ends before, or takes too long.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while "active:" not in (log := Path(self._log.name).read_text()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the node did not start:\n{log}")
            time.sleep(0.05)

    def rss_mib(self) -> float:
        """Its resident memory in MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def cpu_s(self) -> float:
        """Processor seconds that it has used so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def threads(self) -> int:
        """Number of its threads."""
        return len(list(Path(f"/proc/{self._process.pid}/task").iterdir()))

    def open_files(self) -> int:
        """Number of its open files and sockets."""
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def close(self) -> None:
        """Interrupt it and wait."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        self._process.wait(10)
        self._log.close()


@contextmanager
def node_and_camera(
    parameters: Mapping[str, object], model: Path | None, scenes: Iterator[Scene]
) -> Iterator[tuple[NodeProcess, LockstepCamera]]:
    """An active node, and a camera that loses no image on the way to it; both end with it.

    Args:
        parameters: of the node.
        model: folder; None: the packaged one.
        scenes: of the camera.

    Raises:
        RuntimeError: the node does not start.
    """
    from benchmarks.lockstep_camera import LockstepCamera

    given = {"image_reliability": "reliable", **parameters}
    if model is not None:
        given["model_dir"] = model.resolve()
    with closing(NodeProcess(given)) as node:
        node.wait_active()
        with closing(LockstepCamera(scenes)) as camera:
            yield node, camera
