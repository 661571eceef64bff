# SPDX-License-Identifier: Apache-2.0
"""Depth in, 3D boxes and points out, over real DDS."""

from __future__ import annotations

import array

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from amodal_ros.ros.convert.depth import depth_from_message
from amodal_ros.ros.outputs import image_depth
from amodal_ros.ros.outputs.messages_3d import POINT
from tests.ros.outputs.depth_rig import (
    BOX,
    DEPTH_M,
    DepthCamera,
    compressed_depth,
    depth_message,
    info_message,
)


@pytest.fixture
def depth_camera(make_rig):
    return DepthCamera(make_rig)


def test_the_box_and_the_points_of_an_object(depth_camera):
    header = depth_camera.ask()
    camera = depth_camera.rig.camera
    camera.wait(lambda: depth_camera.boxes and depth_camera.clouds, "box and points")
    message = depth_camera.boxes[0]
    assert message.header == header
    (detection,) = message.detections
    track_id = camera.answers[0].masks[0].track_id
    assert detection.id == str(track_id)
    # The whole box of 40 x 50 pixels, its right half hidden: at the depth of what is seen.
    size, position = detection.bbox.size, detection.bbox.center.position
    np.testing.assert_allclose(
        (size.x, size.y, size.z), (40 * DEPTH_M / 200, 50 * DEPTH_M / 200, 0.0), atol=4e-3
    )
    expected = ((39.5 - 80) * DEPTH_M / 200, (54.5 - 60) * DEPTH_M / 200, DEPTH_M)
    np.testing.assert_allclose((position.x, position.y, position.z), expected, atol=1e-3)
    assert detection.bbox.center.orientation.w == 1.0
    cloud = depth_camera.clouds[0]
    assert cloud.header == header
    points = np.frombuffer(cloud.data, POINT)
    assert cloud.point_step * cloud.width == len(cloud.data) == cloud.row_step
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "track_id", "occluded"]
    assert [field.offset for field in cloud.fields] == [0, 4, 8, 12, 16]
    assert set(points["track_id"]) == {track_id}
    # Every second pixel of both directions: 20 x 50 visible ones, as many hidden.
    assert (points["occluded"] == 0).sum() == (points["occluded"] == 1).sum() == 10 * 25
    np.testing.assert_allclose(points["z"], DEPTH_M, rtol=1e-6)
    visible = points[points["occluded"] == 0]
    assert visible["x"].max() < points[points["occluded"] == 1]["x"].min()


@pytest.mark.parametrize(
    ("depth", "info", "counter"),
    [
        (None, info_message, "frames_without_depth"),
        (depth_message, None, "frames_without_camera_info"),
        (lambda header: Image(header=header), info_message, "frames_with_bad_depth"),
        (depth_message, lambda header: CameraInfo(header=header), "frames_with_bad_camera_info"),
        (
            lambda header: Image(
                header=header,
                height=4,
                width=4,
                step=8,
                encoding="16UC1",
                data=array.array("B", bytes(32)),
            ),
            lambda header: CameraInfo(header=header, height=4, width=4, k=[1.0] * 9),
            "frames_with_bad_depth",
        ),
    ],
)
def test_what_is_missing_is_counted_and_masks_come_all_the_same(
    depth_camera, depth, info, counter
):
    depth_camera.ask(depth, info)
    state = depth_camera.rig.camera.diagnostics(
        "camera",
        lambda status: any(v.key == counter and v.value == "1" for v in status.values),
    )
    assert depth_camera.boxes == depth_camera.clouds == []
    assert state["answers_per_s"] != "0.00"


def test_an_info_that_was_published_once_before_the_node(make_rig):
    depth_camera = DepthCamera(make_rig, latched_info=True)
    camera = depth_camera.rig.camera
    camera.wait(
        lambda: depth_camera.ask(info=None) and depth_camera.boxes, "3D with the info of before"
    )


def test_compressed_depth_over_its_topic(make_rig):
    depth_camera = DepthCamera(make_rig, depth_transport="compressedDepth")
    depth_camera.ask(depth=compressed_depth)
    depth_camera.rig.camera.wait(lambda: depth_camera.boxes, "3D")
    (detection,) = depth_camera.boxes[0].detections
    assert detection.bbox.center.position.z == pytest.approx(DEPTH_M, rel=1e-3)


@pytest.mark.parametrize("boxes", [(BOX,), (BOX, (50.0, 40.0, 90.0, 90.0))])
def test_depth_is_read_once_though_order_and_3d_ask_for_it(depth_camera, monkeypatch, boxes):
    read = []

    def counted(message, scale):
        read.append(message)
        return depth_from_message(message, scale)

    monkeypatch.setattr(image_depth, "depth_from_message", counted)
    depth_camera.ask(boxes=boxes)
    depth_camera.rig.camera.wait(lambda: depth_camera.boxes, "the boxes")
    assert len(depth_camera.boxes[-1].detections) == len(boxes)
    assert len(read) == 1


@pytest.mark.parametrize(
    ("depth", "info", "text"),
    [
        (None, info_message, "no depth image has come on /camera/depth"),
        (depth_message, None, "no camera_info has come on /camera/camera_info"),
        (
            lambda header: depth_message(Header(stamp=Time(sec=1), frame_id=header.frame_id)),
            info_message,
            "no depth image on /camera/depth has the image's stamp, the nearest differs by",
        ),
        (
            lambda header: depth_message(header, values=65535),
            info_message,
            "no pixel of the depth image has a depth",
        ),
        (
            lambda header: depth_message(header, values=2),
            info_message,
            "the median depth is 0.002 m: 16UC1 is read as millimetres",
        ),
        (
            lambda header: depth_message(Header(stamp=header.stamp, frame_id="other")),
            info_message,
            "depth images have the frame 'other', their image 'test_camera_optical'",
        ),
    ],
)
def test_what_lasts_is_an_alarm_with_its_cause_and_ends(depth_camera, depth, info, text):
    for _ in range(3):
        depth_camera.ask(depth, info)
    camera = depth_camera.rig.camera
    state = camera.diagnostics("camera", lambda status: status.level == DiagnosticStatus.WARN)
    alarms = [value for name, value in state.items() if name.startswith("alarm_")]
    assert any(text in alarm for alarm in alarms), alarms
    for _ in range(11):
        depth_camera.ask()
    camera.diagnostics("camera", lambda status: status.level == DiagnosticStatus.OK)


@pytest.mark.parametrize(
    ("depth", "alarm", "text"),
    [
        (
            lambda header: depth_message(header, values=2),
            "depth_in_other_units",
            "the median depth is 0.002 m: 16UC1 is read as millimetres",
        ),
        (None, "no_3d_output", "depth is not used, masks alone say the order: no depth image has"),
    ],
)
def test_wrong_depth_is_told_while_nobody_subscribes_to_3d(make_rig, depth, alarm, text):
    """Who hides whom is found by depth as well."""
    depth_camera = DepthCamera(make_rig, wanted=False)
    for _ in range(3):
        depth_camera.ask(depth, boxes=(BOX, (50.0, 40.0, 90.0, 90.0)))
    state = depth_camera.rig.camera.diagnostics(
        "camera", lambda status: status.level == DiagnosticStatus.WARN
    )
    assert state[f"alarm_{alarm}"].startswith(text)
