# SPDX-License-Identifier: Apache-2.0
"""Silent inputs on a clock of the test's own; ``test_inputs.py`` has the node and real topics."""

from __future__ import annotations

from amodal_ros.ros.watch.faults import Fault, FaultLog
from amodal_ros.ros.watch.silence import InputWatch

SILENCE_S = 5.0


def cause(topic: str, came_before: bool) -> str:
    return f"{topic}: {came_before}"


class Rig:
    """A watch that is asked every second, with boxes for every image unless said otherwise."""

    def __init__(self) -> None:
        self.log = FaultLog(lambda text: None, period_s=0.0)
        self.back: list[str] = []
        self.watch = InputWatch(
            self.log, self.back.append, "camera", "boxes", 0.0, SILENCE_S, cause
        )
        self.now_s = 0.0

    def images(self, count: int, every_s: float, boxes: bool = True) -> None:
        for _ in range(count):
            self.wait(every_s)
            self.watch.image_came(self.now_s)
            if boxes:
                self.watch.detections_came(self.now_s)

    def wait(self, seconds: float) -> None:
        last_s = self.now_s
        for second in range(1, int(seconds) + 1):
            self.watch.check(last_s + second - 0.001, idle_since_s=last_s - 100.0)
        self.now_s = last_s + seconds

    def counts(self) -> tuple[int, int]:
        counts = self.log.counts()
        return counts[Fault.CAMERA_SILENT.value], counts[Fault.DETECTOR_SILENT.value]


def test_a_camera_that_is_slow_by_design_is_not_silent_between_its_images():
    rig = Rig()
    rig.images(3, every_s=6.0)  # what its interval is has to be learnt first
    learnt = rig.counts()
    rig.images(50, every_s=6.0)
    assert rig.counts() == learnt
    rig.wait(11.0)
    assert rig.counts() == learnt
    rig.wait(2.0)
    assert rig.counts() == (learnt[0] + 1, 0)


def test_one_long_pause_of_a_fast_camera_does_not_make_the_next_one_pass_unnoticed():
    rig = Rig()
    rig.images(30, every_s=0.1)
    for pause in (1, 2, 3):
        rig.wait(60.0)
        assert rig.counts() == (pause, 0)
        rig.watch.image_came(rig.now_s)
        rig.watch.detections_came(rig.now_s)
        assert rig.back[-1] == "messages on camera again"
        rig.images(1, every_s=0.1)


def test_a_detector_of_a_slow_camera_is_silent_after_two_of_its_images():
    rig = Rig()
    rig.images(10, every_s=6.0)
    silences, _ = rig.counts()
    rig.images(3, every_s=6.0, boxes=False)
    assert rig.counts() == (silences, 1)


def test_the_alarm_says_why_nothing_comes_and_whether_anything_ever_did():
    rig = Rig()
    rig.wait(6.0)
    assert dict(rig.log.alarms())[Fault.CAMERA_SILENT].endswith("camera: False")
    rig.images(6, every_s=1.5, boxes=False)
    assert dict(rig.log.alarms())[Fault.DETECTOR_SILENT].endswith("boxes: False")
    rig.wait(7.0)
    assert dict(rig.log.alarms())[Fault.CAMERA_SILENT].endswith("camera: True")
