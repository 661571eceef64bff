# SPDX-License-Identifier: Apache-2.0
"""What is implausible of depth and intrinsics is told, also where reading them fails."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from std_msgs.msg import Header

from amodal_ros.depth.camera import RigidTransform
from amodal_ros.ros.inputs.transforms import Lack, NoTransformError
from amodal_ros.ros.outputs.frame_geometry import MISSES_IN_A_ROW, DepthFrame, GeometryReader
from amodal_ros.ros.outputs.image_depth import MissingError, metric_depth, read_image_depth
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.watch.faults import Fault, FaultLog
from tests.ros.outputs.depth_rig import DEPTH_M, HW, depth_message, info_message

IMAGE = Header(frame_id="camera")
ELSEWHERE = Header(frame_id="depth_camera")
IN_METRES = 2000.0  # of a 32FC1 image whose driver sends millimetres


def no_transform(*_):
    raise NoTransformError(Lack.MISSING, "no way")


def source(**given) -> SimpleNamespace:
    """A `DepthSource` of aligned depth that has no transforms."""
    known = {
        "separate": False,
        "target_frame": "",
        "info": info_message(IMAGE),
        "depth_info": None,
        "why_no_info": lambda: "no camera_info",
        "why_no_depth": lambda stamp_ns: "no depth",
        "transform": no_transform,
    }
    return SimpleNamespace(**{**known, **given})


class Reader:
    """Reads frames; knows the alarms there are."""

    def __init__(self) -> None:
        self.faults = FaultLog(lambda text: None)
        self.reader = GeometryReader(self.faults)

    def read(self, depth, inputs, times=1, hw=HW, **parameters):
        """The last frame's geometry, or its `MissingError`."""
        given = PerceptionParameters.from_mapping({"transform_timeout": 0.0, **parameters})
        found = None
        for _ in range(times):
            try:
                found = self.reader.read(DepthFrame(IMAGE, hw, depth, inputs, given))
            except MissingError as missing:
                found = missing
        return found

    def look(self, depth, inputs, times=1, **parameters):
        """Looks at frames of which nobody wants 3D; how many were looked at."""
        given = PerceptionParameters.from_mapping(parameters)
        frame = DepthFrame(IMAGE, HW, depth, inputs, given)
        return sum(self.reader.look(frame) for _ in range(times))

    def alarms(self) -> list[str]:
        return [f"{fault.value}: {text}" for fault, text in self.faults.alarms()]


def in_other_units(header=IMAGE):
    return depth_message(header, encoding="32FC1", values=IN_METRES)


# Each is a reason why depth in other units is not read.
FAILS = {
    "size": ({}, {"hw": (60, 80)}, "frames_with_bad_depth"),
    "intrinsics": ({"info": None}, {}, "frames_without_camera_info"),
    "transform": ({"target_frame": "base"}, {}, "transforms_missing"),
    "range": ({}, {"depth_max": 10.0}, "frames_with_bad_depth"),
}


@pytest.mark.parametrize("fails", FAILS)
def test_the_unit_is_told_where_reading_fails(fails):
    known, given, counter = FAILS[fails]
    reader = Reader()
    missing = reader.read(in_other_units(), source(**known), MISSES_IN_A_ROW - 1, **given)
    assert missing.counter == counter
    assert not reader.alarms()
    reader.read(in_other_units(), source(**known), **given)
    (alarm,) = reader.alarms()
    assert alarm.startswith("depth_in_other_units: the median depth is 2e+03 m: 32FC1 is read as")
    reader.reader.clear()
    assert not reader.alarms()


def test_the_unit_is_told_where_depth_was_read_already():
    reader, inputs = Reader(), source()
    metric = metric_depth(in_other_units(), PerceptionParameters())
    read = read_image_depth(IMAGE, HW, metric, inputs, timeout_s=0.0)
    geometry = reader.read(read, inputs, MISSES_IN_A_ROW)
    assert geometry.depth_m.max() == IN_METRES
    assert reader.faults.has_alarm(Fault.DEPTH_UNITS)


def test_good_depth_ends_the_alarm_of_its_unit():
    reader, inputs = Reader(), source()
    reader.read(in_other_units(), inputs, MISSES_IN_A_ROW)
    reader.read(depth_message(IMAGE), inputs, 9)
    assert reader.alarms()
    reader.read(depth_message(IMAGE), inputs)
    assert not reader.alarms()


@pytest.mark.parametrize("fails", ["size", "intrinsics"])
def test_a_frame_of_depth_that_is_not_the_images_is_told_where_reading_fails(fails):
    known, given, _ = FAILS[fails]
    reader = Reader()
    missing = reader.read(depth_message(ELSEWHERE), source(**known), **given)
    assert isinstance(missing, MissingError)
    (alarm,) = reader.alarms()
    assert alarm.startswith("frame_id_mismatches: depth images")
    assert "set depth_camera_info_topic" in alarm


def test_also_of_depth_that_cannot_be_decoded():
    reader, damaged = Reader(), depth_message(ELSEWHERE)
    damaged.encoding = "8UC3"
    assert reader.read(damaged, source()).counter == "frames_with_bad_depth"
    assert "depth images" in reader.alarms()[0]


def test_a_frame_of_intrinsics_that_is_not_the_images_is_told_without_depth():
    reader = Reader()
    missing = reader.read(None, source(info=info_message(ELSEWHERE)))
    assert missing.counter == "frames_without_depth"
    assert reader.alarms()[0].startswith("frame_id_mismatches: camera_info")


def test_depth_of_a_camera_beside_may_have_a_frame_of_its_own():
    moved = RigidTransform(np.eye(3), np.zeros(3))
    beside = source(
        separate=True,
        depth_info=info_message(ELSEWHERE),
        transform=lambda *_: (moved, False),
    )
    reader = Reader()
    geometry = reader.read(depth_message(ELSEWHERE), beside)
    assert not reader.alarms()
    assert geometry.depth_m[60, 80] == pytest.approx(DEPTH_M)
    assert geometry.header is IMAGE


def test_depth_that_nobody_wants_is_looked_at_now_and_then():
    reader, inputs = Reader(), source(target_frame="base")  # where there is no way to
    assert reader.look(in_other_units(), inputs, 10 * MISSES_IN_A_ROW) == MISSES_IN_A_ROW
    assert reader.faults.has_alarm(Fault.DEPTH_UNITS)
    assert reader.look(depth_message(ELSEWHERE), inputs, 1) == 1
    assert "depth images have the frame 'depth_camera'" in "".join(reader.alarms())


def test_depth_that_was_read_for_the_order_is_looked_at_always():
    reader, inputs = Reader(), source()
    metric = metric_depth(in_other_units(), PerceptionParameters())
    read = read_image_depth(IMAGE, HW, metric, inputs, timeout_s=0.0)
    assert reader.look(read, inputs, MISSES_IN_A_ROW) == MISSES_IN_A_ROW
    assert reader.faults.has_alarm(Fault.DEPTH_UNITS)


def test_depth_that_cannot_be_used_is_told_though_nobody_wants_it():
    with pytest.raises(MissingError, match="no depth"):
        Reader().look(None, source())
    with pytest.raises(MissingError, match="no camera_info"):
        Reader().look(depth_message(IMAGE), source(info=None))
