# SPDX-License-Identifier: Apache-2.0
"""Depth images and intrinsics from messages."""

from __future__ import annotations

import array

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.depth import camera_from_info, depth_from_message
from tests.ros.outputs.depth_rig import (
    CENTRE_PX,
    DEPTH_M,
    FOCAL_PX,
    HW,
    compressed_depth,
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
