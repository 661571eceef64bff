# SPDX-License-Identifier: Apache-2.0
"""``python -m amodal_ros.ros.bag`` on recordings of an RGB-D camera that a robot carries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from amodal_ros.ros.bag import definitions
from amodal_ros.ros.convert.stamps import ns_to_stamp
from tests.ros.bag.bag_rig import LATE_NS, PERIOD_NS, Entry, entries, stamp_ns, write_mcap
from tests.ros.bag.test_bag_command import MASKS, Moody, interrupt, raw, read, run
from tests.ros.outputs.depth_rig import CENTRE_PX, DEPTH_M, FOCAL_PX, depth_message, info_message
from tests.ros.outputs.test_frames_3d import OPTICAL_XYZW, position, transform

__all__ = ["run"]  # a fixture

DEPTHS, INFOS = "/camera/depth/image_raw", "/camera/camera_info"
DEPTH_INFOS = "/camera/depth/camera_info"
BOXES_3D, MARKERS = "/amodal/detections_3d", "/amodal/box_markers"
SPEED_M = 0.2  # from one frame to the next


def at(frame: float, frame_id: str = "camera") -> Header:
    return Header(stamp=ns_to_stamp(stamp_ns(0) + round(frame * PERIOD_NS)), frame_id=frame_id)


def mounting() -> TFMessage:
    return TFMessage(transforms=[transform("camera", "base", (0.1, 0.2, 1.0), 0, OPTICAL_XYZW)])


def drive(frame: float, child: str = "base") -> TFMessage:
    stamp = stamp_ns(0) + round(frame * PERIOD_NS)
    return TFMessage(transforms=[transform(child, "world", (SPEED_M * frame, 0, 0), stamp)])


def recorded(count: int, *, depth_frame: str = "camera", without: tuple[int, ...] = ()) -> list:
    """Frames of a camera that moves; its pose is told between them, the last a frame later."""
    found: list[Entry] = [*entries(count), ("/tf_static", stamp_ns(0) + LATE_NS, mounting())]
    for frame in range(count):
        now_ns = stamp_ns(frame) + LATE_NS
        header = at(frame, depth_frame)
        if frame not in without:
            found.append((DEPTHS, now_ns + 1, depth_message(header, padding=3)))
        found.append((INFOS, now_ns + 2, info_message(at(frame))))
        found.append(("/tf", now_ns - LATE_NS // 2, drive(frame - 0.25)))
    found.append(("/tf", stamp_ns(count), drive(count)))
    return sorted(found, key=lambda entry: entry[1])


def expected(frame: int) -> np.ndarray:
    """Middle of the box in the world: the camera looks along x."""
    right, down = (frame + 49.5 - CENTRE_PX[0], 59.5 - CENTRE_PX[1])
    metres = DEPTH_M / FOCAL_PX
    return np.array([SPEED_M * frame + 0.1 + DEPTH_M, 0.2 - right * metres, 1.0 - down * metres])


def boxes_3d(path: Path) -> list:
    return [message for _, message in read(path, BOXES_3D)]


@pytest.mark.parametrize("installed", [True, False])
def test_boxes_of_a_moving_camera_in_the_worlds_frame(run, tmp_path, monkeypatch, installed):
    if not installed:  # as after scripts/demo: the recording's own definition of TF is used
        known = definitions.installed_definition
        monkeypatch.setattr(
            definitions,
            "installed_definition",
            lambda name: "" if name.startswith("tf2_msgs") else known(name),
        )
    source, out = write_mcap(tmp_path / "in.mcap", recorded(5)), tmp_path / "out.mcap"
    status, output = run(source, out, "-p", "target_frame:=world")
    assert status == 0, output
    assert f"3D boxes from depth on {DEPTHS}, intrinsics on {INFOS}: depth is taken as" in output
    assert "5 of 5 frames answered, 5 masks, 3D boxes of 5 frames" in output
    # Each pose comes before its frame but tells of a time before it: the next one is needed.
    assert "transforms_late 5" in output
    found = boxes_3d(out)
    assert [message.header.frame_id for message in found] == ["world"] * 5
    assert [log_ns for log_ns, _ in read(out, BOXES_3D)] == [log for log, _ in read(out, MASKS)]
    for frame, message in enumerate(found):
        (detection,) = message.detections
        np.testing.assert_allclose(position(detection), expected(frame), atol=0.005)
        assert np.diag(np.reshape(detection.results[0].pose.covariance, (6, 6)))[:3].min() > 0
    (_, markers), *_ = read(out, MARKERS)
    assert [marker.ns for marker in markers.markers[1:]]
    assert markers.markers[1].pose.position.x == pytest.approx(expected(0)[0], abs=0.005)


def test_a_run_goes_on_with_the_same_boxes(run, tmp_path):
    source = write_mcap(tmp_path / "in.mcap", recorded(6, without=(4,)))
    whole, out = tmp_path / "whole.mcap", tmp_path / "out.mcap"
    given = ["-p", "target_frame:=world"]
    assert run(source, whole, *given)[0] == 0
    assert run(source, out, *given, predictor=Moody(2, interrupt))[0] == 130
    status, output = run(source, out, *given, "--depth-topic", "none")
    assert status == 2
    assert "is of another run (depth " in output
    status, output = run(source, out, *given)
    assert status == 0, output
    assert "going on after frame 3 of 6" in output
    assert "3D boxes of 5 frames" in output
    assert "frames_without_depth 1, transforms_late 5" in output
    for topic, kind in ((BOXES_3D, Detection3DArray), (MARKERS, MarkerArray)):
        found, wanted = (
            [(log_ns, deserialize_message(data, kind)) for log_ns, data in raw(file, topic)]
            for file in (out, whole)
        )
        assert found == wanted
        assert len(found) == 5


def test_what_has_no_transform_is_counted_and_told(run, tmp_path):
    ended = [e for e in recorded(5) if e[0] != "/tf" or e[1] < stamp_ns(2) + LATE_NS]
    source, out = write_mcap(tmp_path / "in.mcap", ended), tmp_path / "out.mcap"
    status, output = run(source, out, "-p", "target_frame:=world")
    assert status == 0, output
    assert "5 of 5 frames answered, 5 masks, 3D boxes of 2 frames" in output
    assert "no 3D output, though it is wanted: the newest transform from 'camera' to" in output
    assert "no_3d_output 1, transforms_extrapolated 3, transforms_late 2" in output
    assert len(boxes_3d(out)) == 2
    status, output = run(source, out, "--restart", "-p", "target_frame:=gripper")
    assert status == 0, output
    assert "nobody has told where 'gripper' is" in output
    assert "transforms_missing 5" in output


def test_depth_of_a_camera_beside_the_image_is_found_by_its_frame(run, tmp_path):
    beside = TFMessage(transforms=[transform("depth_camera", "camera", (0.0, 0.0, -0.5), 0)])
    clip = recorded(2, depth_frame="depth_camera")
    clip = [*clip, ("/tf_static", stamp_ns(1), beside)]
    clip += [(DEPTH_INFOS, stamp_ns(1), info_message(at(1, "depth_camera")))]
    source, out = write_mcap(tmp_path / "in.mcap", clip), tmp_path / "out.mcap"
    status, output = run(source, out)
    assert status == 0, output
    assert f"on {INFOS} and, of the depth camera, on {DEPTH_INFOS}" in output
    for message in boxes_3d(out):
        assert message.header.frame_id == "camera"
        z = position(message.detections[0])[2]
        assert z == pytest.approx(DEPTH_M - 0.5, abs=0.01)


def test_without_intrinsics_masks_are_written_and_it_is_told(run, tmp_path):
    clip = [entry for entry in recorded(2) if entry[0] != INFOS]
    source, out = write_mcap(tmp_path / "in.mcap", clip), tmp_path / "out.mcap"
    status, output = run(source, out)
    assert status == 0, output
    assert "no 3D boxes: " in output
    assert "has no intrinsics beside /camera/image_raw: choose them with --camera-info" in output
    assert len(read(out, MASKS)) == 2
    assert not boxes_3d(out)
    # Asked for by name, it is an error.
    status, output = run(source, out, "--restart", "-p", "target_frame:=base")
    assert status == 2
    assert "has no intrinsics" in output


def test_of_several_topics_of_depth_the_aligned_one_is_taken_or_one_is_chosen(run, tmp_path):
    second = [(e[0].replace("depth", "depth2"), *e[1:]) for e in recorded(2) if e[0] == DEPTHS]
    source = write_mcap(tmp_path / "in.mcap", [*recorded(2), *second])
    out = tmp_path / "out.mcap"
    status, output = run(source, out)
    assert status == 0, output
    assert "no 3D boxes: " in output
    assert "choose one with --depth-topic: /camera/depth/image_raw, /camera/depth2/im" in output
    given = ["--depth-topic", "/camera/depth2/image_raw", "-p", "depth_scale:=0.002"]
    assert run(source, out, "--restart", *given)[0] == 0
    depths = [position(message.detections[0])[2] for message in boxes_3d(out)]
    assert depths == pytest.approx([2 * DEPTH_M] * 2, abs=0.01)
    aligned = [(e[0].replace("depth2", "aligned_depth_to_color"), *e[1:]) for e in second]
    source = write_mcap(tmp_path / "in.mcap", [*recorded(2), *aligned])
    status, output = run(source, out, "--restart")
    assert status == 0, output
    assert "3D boxes from depth on /camera/aligned_depth_to_color/image_raw" in output


def test_a_depth_image_of_other_stamps_needs_slop(run, tmp_path):
    clip = [e for e in recorded(4) if e[0] != DEPTHS]
    clip += [(DEPTHS, stamp_ns(f) + LATE_NS, depth_message(at(f + 0.2))) for f in range(4)]
    source, out = write_mcap(tmp_path / "in.mcap", clip), tmp_path / "out.mcap"
    status, output = run(source, out)
    assert status == 0, output
    assert "the nearest differs by 20 ms: allow --slop" in output
    assert "frames_without_depth 4" in output
    status, output = run(source, out, "--restart", "--slop", "0.03")
    assert status == 0, output
    assert "3D boxes of 4 frames" in output
