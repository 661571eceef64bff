# SPDX-License-Identifier: Apache-2.0
"""Transforms of a robot's frames at a time, against compositions by hand and scipy's slerp."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from amodal_ros.depth.camera import RigidTransform
from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.inputs.transform_buffer import (
    FrameUnknownError,
    OutsideKnownError,
    TransformBuffer,
)

S = 1_000_000_000
STILL = np.array([0.0, 0.0, 0.0, 1.0])


def turned(degrees: float) -> np.ndarray:
    return Rotation.from_euler("z", degrees, True).as_quat()


@pytest.fixture
def robot() -> TransformBuffer:
    """World, base (moves), arm (turns), camera (mounted on it), shelf (stands in the world)."""
    buffer = TransformBuffer()
    for second in range(5):
        base = np.array([0.5 * second, 0.0, 0.0])
        buffer.put("base", "world", STILL, base, second * S, fixed=False)
        buffer.put("arm", "base", turned(30 * second), np.zeros(3), second * S, fixed=False)
    buffer.put("camera", "arm", turned(90), np.array([0.0, 0.2, 1.0]), 0, fixed=True)
    buffer.put("/shelf", "/world", STILL, np.array([3.0, 0.0, 0.0]), 77, fixed=True)
    return buffer


def test_a_moving_camera_at_the_images_time(robot):
    """Between two transforms the pose is interpolated, on both moving joints."""
    at_s = 2.25
    found = robot.lookup("world", "camera", round(at_s * S))
    turn = Slerp([2, 3], Rotation.from_quat([turned(60), turned(90)]))(at_s)
    expected = (
        RigidTransform(np.eye(3), np.array([0.5 * at_s, 0, 0]))
        @ RigidTransform(turn.as_matrix(), np.zeros(3))
        @ RigidTransform.from_quaternion(turned(90), np.array([0.0, 0.2, 1.0]))
    )
    np.testing.assert_allclose(found.rotation, expected.rotation, atol=1e-9)
    np.testing.assert_allclose(found.translation, expected.translation, atol=1e-9)
    back = robot.lookup("camera", "world", round(at_s * S))
    np.testing.assert_allclose((back @ found).translation, 0, atol=1e-9)


def test_up_one_branch_and_down_another(robot):
    found = robot.lookup("shelf", "base", 4 * S)
    np.testing.assert_allclose(found.translation, (2.0 - 3.0, 0, 0), atol=1e-12)
    np.testing.assert_allclose(robot.lookup("/base", "base", 9 * S).rotation, np.eye(3))


def test_what_does_not_move_holds_at_any_time_and_only_the_way_counts(robot):
    np.testing.assert_allclose(robot.lookup("arm", "camera", 999 * S).translation[2], 1.0)
    # Their common frame is the base; how that moves in the world does not matter.
    robot.put("base", "world", STILL, np.zeros(3), 60 * S, fixed=False)
    robot.lookup("base", "camera", 3 * S)


@pytest.mark.parametrize(("at_s", "late_s"), [(4.5, 0.5), (-1.0, -1.0)])
def test_nothing_is_extrapolated(robot, at_s, late_s):
    with pytest.raises(OutsideKnownError) as caught:
        robot.lookup("world", "camera", round(at_s * S))
    assert caught.value.late_ns == round(late_s * S)


def test_frames_that_are_not_there(robot):
    with pytest.raises(FrameUnknownError, match=r"where 'gripper' is; known are arm, base, camer"):
        robot.lookup("gripper", "camera", 0)
    robot.put("dock", "garage", STILL, np.zeros(3), 0, fixed=True)
    text = "'camera' and 'dock' are in different trees, whose roots are 'world' and 'garage'"
    with pytest.raises(FrameUnknownError, match=text):
        robot.lookup("dock", "camera", 0)
    with pytest.raises(FrameUnknownError, match="where 'b' and 'a' is; known are -"):
        TransformBuffer().lookup("a", "b", 0)


def test_a_circle_is_told(robot):
    robot.put("world", "camera", STILL, np.zeros(3), 0, fixed=True)
    with pytest.raises(FrameUnknownError, match="run in a circle"):
        robot.lookup("shelf", "camera", 0)


def test_ten_seconds_are_kept_and_a_bag_may_start_again():
    buffer = TransformBuffer()
    for second in range(30):
        shift = np.array([second, 0.0, 0.0])
        buffer.put("base", "world", STILL, shift, second * S, fixed=False)
    with pytest.raises(OutsideKnownError):
        buffer.lookup("world", "base", 18 * S)
    np.testing.assert_allclose(buffer.lookup("world", "base", 20 * S).translation[0], 20)
    buffer.put("base", "world", STILL, np.array([-5.0, 0, 0]), 3 * S, fixed=False)
    np.testing.assert_allclose(buffer.lookup("world", "base", 3 * S).translation[0], -5)


def test_out_of_order_twice_and_another_parent(robot):
    robot.put("base", "world", STILL, np.array([100.0, 0, 0]), 3 * S, fixed=False)  # again
    np.testing.assert_allclose(robot.lookup("world", "base", 3 * S).translation[0], 1.5)
    robot.put("base", "world", STILL, np.array([9.0, 0, 0]), round(2.5 * S), fixed=False)
    np.testing.assert_allclose(robot.lookup("world", "base", round(2.75 * S)).translation[0], 5.25)
    robot.put("base", "map", STILL, np.zeros(3), 4 * S, fixed=False)
    with pytest.raises(FrameUnknownError):
        robot.lookup("world", "base", 4 * S)


def test_the_shorter_way_round_and_no_rotation(robot):
    buffer = TransformBuffer()
    buffer.put("a", "b", turned(10), np.zeros(3), 0, fixed=False)
    buffer.put("a", "b", -turned(20), np.zeros(3), S, fixed=False)
    half = buffer.lookup("b", "a", S // 2).rotation
    np.testing.assert_allclose(half, Rotation.from_euler("z", 15, True).as_matrix(), atol=1e-9)
    with pytest.raises(InvalidInputError, match="a quaternion"):
        buffer.put("a", "b", np.zeros(4), np.zeros(3), 2 * S, fixed=False)


def test_clearing_keeps_what_is_fixed(robot):
    robot.clear()
    with pytest.raises(FrameUnknownError, match="known are arm, camera, shelf, world"):
        robot.lookup("base", "camera", 0)
    robot.lookup("arm", "camera", 0)
