# SPDX-License-Identifier: Apache-2.0
"""Depth in, 3D boxes and points out: message conversion, and the node over real DDS."""

from __future__ import annotations

import array
import struct

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.depth import camera_from_info, depth_from_message
from amodal_ros.ros.outputs.messages_3d import POINT
from tests.ros.outputs.depth_rig import (
    CENTRE_PX,
    DEPTH_M,
    FOCAL_PX,
    HW,
    DepthCamera,
    depth_message,
    info_message,
)


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("big_endian", [False, True])
def test_depth_messages(encoding, padding, big_endian):
    metres = depth_from_message(depth_message(Header(), encoding, padding, big_endian))
    assert (metres.shape, metres.dtype) == (HW, np.float32)
    np.testing.assert_allclose(metres, DEPTH_M, rtol=1e-6)


def test_wrong_depth_messages():
    wrong = depth_message(Header())
    wrong.encoding = "rgb8"
    short = depth_message(Header())
    short.data = short.data[:-1]
    for message, text in (
        (wrong, "depth encoding 'rgb8' is not supported"),
        (short, "bytes of data"),
        (Image(encoding="16UC1"), "16UC1 image has no pixels"),
    ):
        with pytest.raises(InvalidInputError, match=text):
            depth_from_message(message)


def test_the_last_row_needs_no_padding():
    message = depth_message(Header(), padding=6)
    message.data = message.data[:-6]
    np.testing.assert_allclose(depth_from_message(message), DEPTH_M, rtol=1e-6)


@pytest.mark.parametrize(
    ("encoding", "scale", "factor"),
    [("16UC1", 0.001, 1.0), ("16UC1", 0.0001, 0.1), ("32FC1", 0.001, 0.001), ("32FC1", 1.0, 1.0)],
)
def test_depth_of_a_unit_of_its_own(encoding, scale, factor):
    metres = depth_from_message(depth_message(Header(), encoding), scale)
    np.testing.assert_allclose(metres, DEPTH_M * factor, rtol=1e-5)


def test_the_largest_integer_is_no_depth():
    message = depth_message(Header())
    values = np.frombuffer(message.data, np.uint16).copy()
    values[:2] = 0, 65535
    message.data = array.array("B", values.tobytes())
    metres = depth_from_message(message)
    assert np.isnan(metres[0, :2]).all()
    assert np.isfinite(metres[0, 2:]).all()


def compressed_depth(header=None, encoding="16UC1", values=None) -> CompressedImage:
    """As compressed_depth_image_transport sends it; values (H, W) in metres."""
    metres = np.full(HW, DEPTH_M) if values is None else values
    a, b = 100.0, 2.0
    with np.errstate(divide="ignore"):
        quantised = np.where(metres > 0, a / metres + b, 0)
    pixels = metres * 1000 if encoding == "16UC1" else quantised
    _, png = cv2.imencode(".png", np.round(pixels).astype(np.uint16))
    message = CompressedImage(header=header or Header(), format=f"{encoding}; compressedDepth png")
    message.data = array.array("B", struct.pack("<iff", 0, a, b) + png.tobytes())
    return message


@pytest.mark.parametrize(("encoding", "rtol"), [("16UC1", 1e-6), ("32FC1", 0.02)])
def test_compressed_depth(encoding, rtol):
    values = np.linspace(0.5, 4.0, HW[0] * HW[1]).reshape(HW).round(3)
    values[0, 0] = 0.0
    metres = depth_from_message(compressed_depth(encoding=encoding, values=values))
    assert metres.dtype == np.float32
    assert np.isnan(metres[0, 0])
    np.testing.assert_allclose(metres.ravel()[1:], values.ravel()[1:], rtol=rtol)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format": "16UC1; compressedDepth rvl"}, "RVL depth claims"),
        ({"format": "bgr8; jpeg compressed bgr8"}, "expected format"),
        ({"data": array.array("B", bytes(12))}, "is too short"),
        ({"data": array.array("B", bytes(200))}, "neither a complete JPEG nor a PNG"),
    ],
)
def test_wrong_compressed_depth(change, text):
    message = compressed_depth()
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(InvalidInputError, match=text):
        depth_from_message(message)


def test_binning_and_region_of_interest_move_the_intrinsics():
    info = info_message(Header())
    info.height, info.width = 4 * HW[0], 4 * HW[1]
    info.binning_x, info.binning_y = 2, 2
    info.roi.width, info.roi.height = 2 * HW[1], 2 * HW[0]
    info.roi.x_offset, info.roi.y_offset = 10, 20
    for p in (info.p, info.k):
        camera = camera_from_info(info, HW)
        assert (camera.fx, camera.fy) == (FOCAL_PX / 2, FOCAL_PX / 2)
        assert (camera.cx, camera.cy) == ((CENTRE_PX[0] - 10) / 2, (CENTRE_PX[1] - 20) / 2)
        p[0] = 0.0
        info.k[0] = FOCAL_PX
    with pytest.raises(InvalidInputError, match="640x480 pixels, of them 320x240, binned 2x2"):
        camera_from_info(info, (480, 640))


def test_intrinsics_that_no_camera_has():
    info = CameraInfo(height=HW[0], width=HW[1], k=[1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0])
    with pytest.raises(InvalidInputError, match=r"fx 1, fy 1.*not calibrated"):
        camera_from_info(info, HW)


@pytest.mark.parametrize("p", [True, False])
def test_intrinsics(p):
    camera = camera_from_info(info_message(Header(), p), HW)
    assert (camera.fx, camera.fy) == (FOCAL_PX, FOCAL_PX)
    assert (camera.cx, camera.cy) == CENTRE_PX
    with pytest.raises(InvalidInputError, match="camera_info is of 160x120"):
        camera_from_info(info_message(Header()), (480, 640))
    with pytest.raises(InvalidInputError, match="camera: expected finite fx"):
        camera_from_info(CameraInfo(height=HW[0], width=HW[1]), HW)


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
