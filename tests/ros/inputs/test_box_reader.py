# SPDX-License-Identifier: Apache-2.0
"""What is doubtful about a stream of boxes becomes an alarm, is told once and ends."""

from __future__ import annotations

import numpy as np
import pytest
from std_msgs.msg import Header
from vision_msgs.msg import ObjectHypothesisWithPose

from amodal_ros.ros.convert.box_units import BoxUnits
from amodal_ros.ros.inputs.box_reader import BoxReader
from amodal_ros.ros.watch.faults import Fault, FaultLog
from tests.ros.ros_rig import boxes_message

HD = (720, 1280)
BOXES = [(100, 100, 300, 400), (500, 200, 700, 600), (1000, 50, 1250, 300)]
PARTS = [(x0 / 1280, y0 / 720, x1 / 1280, y1 / 720) for x0, y0, x1, y1 in BOXES]
SMALL = [tuple(side / 2 for side in box) for box in BOXES]


class Rig:
    def __init__(self, units="automatic"):
        self.warnings: list[str] = []
        self.log = FaultLog(self.warnings.append)
        self.reader = BoxReader(self.log, BoxUnits.parse(units))

    def read(self, boxes, ids=(), score=None, times=1):
        message = boxes_message(boxes, Header(), ids)
        for detection in message.detections if score is not None else ():
            hypothesis = ObjectHypothesisWithPose()
            hypothesis.hypothesis.score = score
            detection.results = [hypothesis]
        for _ in range(times):
            found = self.reader.read(message, HD, 0.0, 16)
        return found

    def alarms(self):
        return dict(self.log.alarms())


def test_good_boxes_raise_none():
    rig = Rig()
    assert len(rig.read(BOXES, ids=["1", "2", "3"], score=0.5, times=50)) == 3
    assert rig.alarms() == {}
    assert rig.warnings == []


@pytest.mark.parametrize(
    ("fault", "times", "message"),
    [
        (Fault.BOX_UNITS, 1, {"boxes": PARTS}),
        (Fault.BOX_UNITS, 10, {"boxes": SMALL}),
        (Fault.BOX_IDS, 1, {"boxes": BOXES, "ids": ["47"] * 3}),
        (Fault.BOX_SCORES, 1, {"boxes": BOXES, "score": 80.0}),
    ],
)
def test_doubtful_boxes_are_told_once_and_count(fault, times, message):
    rig = Rig()
    assert len(rig.read(**message, times=times)) == 3
    assert list(rig.alarms()) == [fault]
    rig.read(**message, times=times + 50)
    assert len(rig.warnings) == 1
    assert rig.log.counts()[fault.value] == 1
    rig.read(BOXES, ids=["1", "2", "3"], times=100)
    assert rig.alarms() == {}
    rig.read(**message)
    rig.reader.clear()
    assert rig.alarms() == {}
    assert len(rig.warnings) == 1


def test_ids_that_repeat_are_identities_no_more():
    rig = Rig()
    assert rig.read(BOXES, ids=["1", "2", "3"]).detection_ids == ("1", "2", "3")
    assert rig.read(BOXES, ids=["47", "47", "3"]).detection_ids == ("", "", "")
    # Nor those of the next message, though it has only one of the class.
    assert rig.read(BOXES[:1], ids=["47"]).detection_ids == ("",)
    assert rig.read(BOXES[:1], ids=["47"], times=100).detection_ids == ("47",)


@pytest.mark.parametrize(
    ("units", "boxes"),
    [("pixels", SMALL), ("normalised", PARTS), ("stretch_640x360", SMALL)],
)
def test_units_that_were_said_are_not_doubted(units, boxes):
    rig = Rig(units)
    rig.read(boxes, times=20)
    assert rig.alarms() == {}


def test_other_units_end_the_alarm():
    rig = Rig()
    rig.read(PARTS)
    assert Fault.BOX_UNITS in rig.alarms()
    rig.reader.units = BoxUnits.parse("normalised")
    assert rig.alarms() == {}
    np.testing.assert_allclose(rig.read(PARTS).boxes_xyxy, BOXES, rtol=1e-5)


@pytest.mark.parametrize(
    ("boxes", "score", "text"),
    [
        ([(10, 10, 5, 20)], None, "no size, as size -5x10, expected above 0"),
        ([(2000, 10, 2100, 20)], None, "outside, as (2000, 10, 2100, 20) in an image of 1280x720"),
        (BOXES[:1], -0.5, "bad score, as score -0.5, expected 0 to 1"),
    ],
)
def test_boxes_left_out_are_told_with_their_value(boxes, score, text):
    rig = Rig()
    assert len(rig.read(boxes, score=score)) == 0
    assert f"1 of 1 boxes left out: {text}" in rig.warnings[0]
