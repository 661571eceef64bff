# SPDX-License-Identifier: Apache-2.0
"""A perception node in a process of its own, and a camera that sees what it answers and says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rclpy.context import Context
from rclpy.qos import ReliabilityPolicy
from std_msgs.msg import Header

from amodal_ros.ros.convert.stamps import ns_to_stamp, stamp_to_ns
from tests.ros.ros_rig import (
    START_S,
    Box,
    Camera,
    boxes_message,
    image_message,
    picture,
    timing_values,
)

ROOT = Path(__file__).parents[3]
FAKE_NODE = "tests.ros.faults.fake_node"
REAL_NODE = "amodal_ros.ros.node.perception_node"
BOX: Box = (20.0, 30.0, 60.0, 80.0)


class NodeProcess:
    """A node's process, in a session of its own, with its output in a file."""

    def __init__(self, log: Path, *command: str, **parameters: object) -> None:
        """`command`: Python's arguments; by default the fake node."""
        # Every image is answered by the model, unless a test says otherwise.
        parameters = {"frame_budget": 0.0, **parameters}
        arguments = [*(command or ("-m", FAKE_NODE)), "--ros-args"]
        for name, value in parameters.items():
            arguments += ["-p", f"{name}:={json.dumps(value)}"]
        self._log = log
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
            )

    @property
    def output(self) -> str:
        """All that it wrote."""
        return self._log.read_text()

    def wait_for(self, text: str, timeout_s: float = START_S) -> None:
        """Wait until it has written something."""
        deadline = time.monotonic() + timeout_s
        while text not in self.output:
            assert self.popen.poll() is None, self.output
            assert time.monotonic() < deadline, f"{text!r} not in:\n{self.output}"
            time.sleep(0.02)

    def tell(self, command: str) -> None:
        """Give a command to the fake node and wait until it is obeyed."""
        confirmed = self.output.count(f"obeyed {command}")
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{command}\n".encode())
        self.popen.stdin.flush()
        deadline = time.monotonic() + START_S
        while self.output.count(f"obeyed {command}") == confirmed:
            assert time.monotonic() < deadline, self.output
            time.sleep(0.01)

    def rss_mib(self) -> float:
        """Its resident memory in MiB."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def end(self, number: int = signal.SIGINT) -> tuple[int, float]:
        """Send a signal; exit code, and seconds from signal to end.

        On a busy machine the time does not count in which it was ready and had no core.
        """
        start, kept_before_s = time.monotonic(), self._kept_waiting_s()
        self.popen.send_signal(number)
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, self.popen.pid, ended) is None:
            assert time.monotonic() - start < 30.0, self.output
            time.sleep(0.005)
        kept_s = self._kept_waiting_s() - kept_before_s
        return self.popen.wait(), time.monotonic() - start - kept_s

    def _kept_waiting_s(self) -> float:
        """How long its main thread has waited for a core so far, as Linux counts it."""
        statistics = Path(f"/proc/{self.popen.pid}/schedstat").read_text().split()
        return int(statistics[1]) / 1e9

    def session(self) -> list[int]:
        """Processes that are alive in its session, itself included."""
        alive = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == self.popen.pid and fields[0] != "Z":
                alive.append(int(stat.parent.name))
        return alive

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        if self.popen.stdin is not None:
            self.popen.stdin.close()


class FaultRig:
    """One node process and one camera that go through many tests."""

    def __init__(self, log: Path, context: Context, **parameters: object) -> None:
        self.process = NodeProcess(log, **parameters)
        try:
            self.camera = Camera(context)
            self._timings = self.camera.subscribe(DiagnosticArray, "amodal/timing")
            self.process.wait_for("active: images from")
            self.connect()
        except BaseException:
            self.process.kill()
            raise

    def connect(self) -> None:
        """Send frames without objects until masks and timing of one arrive."""
        self._timings.clear()
        self.camera.answers.clear()
        deadline = time.monotonic() + START_S
        while not (self.camera.answers and self._timings):
            assert time.monotonic() < deadline, self.process.output
            self.camera.send(picture(), [])
            self.camera.spin_for(0.2)

    def settle(self) -> None:
        """Wait until the node has found that the camera is reliable, and has changed over to it.

        Until then its subscriptions are best effort, and a burst may lose any of its messages.
        """
        graph = self.camera.node

        def changed_over() -> bool:
            offers = [
                [info.qos_profile.reliability for info in graph.get_subscriptions_info_by_topic(t)]
                for t in ("camera/image_raw", "detections")
            ]
            return all(offer == [ReliabilityPolicy.RELIABLE] for offer in offers)

        self.camera.wait(changed_over, "reliable subscriptions")
        self.connect()

    def stamp(self) -> int:
        """A stamp in nanoseconds: now, but later than the last by a frame at least."""
        return stamp_to_ns(self.camera.header().stamp)

    def send(self, stamp_ns: int, image: bool = True, boxes: bool = True) -> Header:
        """Publish an image, its box or both with a stamp of the test's choice."""
        header = Header(stamp=ns_to_stamp(stamp_ns), frame_id="test_camera_optical")
        if image:
            self.camera.images.publish(image_message(picture(), header))
        if boxes:
            self.camera.boxes.publish(boxes_message([BOX], header))
        return header

    def counters(self) -> dict[str, float]:
        """The node's counters, which come along with the answer to a good frame.

        The answers so far are forgotten.
        """
        header = self.camera.send(picture(), [BOX])
        found: list[DiagnosticArray] = []

        def arrived() -> bool:
            found.extend(m for m in self._timings if m.header.stamp == header.stamp)
            return bool(found)

        self.camera.wait(arrived, f"the counters\n{self.process.output[-3000:]}\n")
        self.camera.wait_answer(header)
        self.camera.answers.clear()
        return timing_values(found[0])

    def gained(self, before: dict[str, float]) -> dict[str, int]:
        """Counters that have changed since, with the difference."""
        now = self.counters()
        faults = [name for name in now if name not in _TIMES]
        return {n: int(now[n] - before[n]) for n in faults if now[n] != before[n]}

    def other_losses(self, before: dict[str, float]) -> dict[str, int]:
        """What `gained` says, without images that waited for boxes of the tests before."""
        gained = self.gained(before)
        gained.pop("dropped_image_without_detections", None)
        return gained

    def answered(self) -> list[Time]:
        """Stamps of all answers since the counters were read."""
        return [answer.header.stamp for answer in self.camera.answers]

    def state(self) -> str:
        """The node's lifecycle state."""
        response = self.camera.call(GetState, "amodal_perception/get_state", GetState.Request())
        return response.current_state.label

    def wait_output(self, text: str, timeout_s: float = START_S) -> None:
        """Wait until the node has written something; the camera's callbacks go on."""
        self.camera.wait(
            lambda: text in self.process.output, f"{text!r} in:\n{self.process.output}", timeout_s
        )

    def stream(
        self, seconds: float, period_s: float, send: Callable[[int], object]
    ) -> Sequence[int]:
        """Call `send` with a frame number in a period; returns the numbers."""
        numbers = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            numbers.append(len(numbers))
            send(numbers[-1])
            self.camera.spin_for(period_s)
        return numbers

    def close(self) -> None:
        """End process and camera."""
        self.process.kill()
        self.camera.close()


_TIMES = frozenset(
    {
        "transport", "wait", "convert", "preprocess", "prefix", "prior", "suffix", "decoder",
        "memory", "postprocess", "track", "message", "total",
    }
)  # fmt: skip
