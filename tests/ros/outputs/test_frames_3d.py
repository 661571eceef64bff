# SPDX-License-Identifier: Apache-2.0
"""3D output in the robot's frame, and of depth that is not aligned, over real DDS."""

from __future__ import annotations

import importlib.util
import threading

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from amodal_ros.ros.convert.stamps import ns_to_stamp, stamp_to_ns
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

HAS_TF2 = importlib.util.find_spec("tf2_ros") is not None
CAMERA_FRAME = "test_camera_optical"
# From the optical frame (x right, y down, z forward) to one with x forward, y left, z up.
OPTICAL_XYZW = (-0.5, 0.5, -0.5, 0.5)
# Middle of the rig's box of 40 x 50 pixels, in the camera's frame.
CENTRE = ((39.5 - CENTRE_PX[0]) * DEPTH_M / FOCAL_PX, (54.5 - CENTRE_PX[1]) * DEPTH_M / FOCAL_PX)


def transform(child, parent, xyz, stamp_ns, xyzw=(0.0, 0.0, 0.0, 1.0)) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=parent)
    shift, turn = message.transform.translation, message.transform.rotation
    shift.x, shift.y, shift.z = xyz
    turn.x, turn.y, turn.z, turn.w = xyzw
    return message


class RobotCamera(DepthCamera):
    """With a depth camera on a robot whose frames are published."""

    def __init__(self, make_rig, **parameters):
        given = {"target_frame": "base_link", **parameters}
        super().__init__(make_rig, **given)
        node = self.rig.camera.node
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.moving = node.create_publisher(TFMessage, "/tf", 100)
        self.fixed = node.create_publisher(TFMessage, "/tf_static", latched)
        if given["target_frame"] or given.get("depth_camera_info_topic"):
            self.wait_for_listener()

    def wait_for_listener(self):
        topics = (self.moving, self.fixed)
        self.rig.camera.wait(
            lambda: all(topic.get_subscription_count() for topic in topics),
            "the node's subscription of transforms",
        )

    def mount(self, parent="base_link", xyz=(0.1, 0.2, 1.0)):
        mounting = transform(CAMERA_FRAME, parent, xyz, 0, OPTICAL_XYZW)
        self.fixed.publish(TFMessage(transforms=[mounting]))

    def move(self, *poses):
        """Publish where the base is in the world: pairs of stamp in ns and x."""
        found = [transform("base_link", "world", (x, 0.0, 0.0), at) for at, x in poses]
        self.moving.publish(TFMessage(transforms=found))

    def counters(self, condition=lambda values: True):
        def fits(status: DiagnosticStatus) -> bool:
            return condition({value.key: value.value for value in status.values})

        return self.rig.camera.diagnostics("camera", fits)


def position(detection) -> np.ndarray:
    centre = detection.bbox.center.position
    return np.array([centre.x, centre.y, centre.z])


def test_boxes_points_and_markers_in_the_robots_frame(make_rig):
    robot = RobotCamera(make_rig)
    camera = robot.rig.camera
    markers = camera.subscribe(MarkerArray, "amodal/box_markers")
    robot.mount()
    camera.spin_for(0.3)
    header = robot.ask()
    camera.wait(lambda: robot.boxes and robot.clouds and markers, "3D output")
    expected = np.array([0.1 + DEPTH_M, 0.2 - CENTRE[0], 1.0 - CENTRE[1]])
    (detection,) = robot.boxes[-1].detections
    for message in (robot.boxes[-1], robot.clouds[-1]):
        assert message.header == Header(stamp=header.stamp, frame_id="base_link")
    np.testing.assert_allclose(position(detection), expected, atol=0.005)
    # Along the axes of that frame: the wall's normal is its x.
    size = detection.bbox.size
    np.testing.assert_allclose((size.x, size.y, size.z), (0.0, 0.3, 0.375), atol=0.01)
    assert detection.bbox.center.orientation.w == pytest.approx(1.0)
    covariance = detection.results[0].pose.covariance.reshape(6, 6)
    np.testing.assert_allclose(covariance, covariance.T)
    assert np.diag(covariance)[:3].min() > 1e-6
    points = np.frombuffer(robot.clouds[-1].data, POINT)
    np.testing.assert_allclose(points["x"], 0.1 + DEPTH_M, atol=1e-4)
    wipe, cube, label = markers[-1].markers
    assert (wipe.action, cube.type, label.type) == (
        *(Marker.DELETEALL, Marker.CUBE, Marker.TEXT_VIEW_FACING),
    )
    assert cube.header.frame_id == "base_link"
    assert cube.pose == detection.bbox.center
    assert cube.scale.x > 0
    assert cube.color.a > 0


def test_a_moving_camera_is_where_it_was_at_the_images_stamp(make_rig):
    robot = RobotCamera(make_rig, target_frame="world")
    robot.mount()

    def drive(header):
        """2 m/s: the newest transform is 0.1 m further on."""
        stamp_ns = stamp_to_ns(header.stamp)
        robot.move((stamp_ns - 50_000_000, 4.9), (stamp_ns + 50_000_000, 5.1))
        robot.rig.camera.spin_for(0.3)

    robot.ask(before=drive)
    robot.rig.camera.wait(lambda: robot.boxes, "the box")
    expected = np.array([5.0 + 0.1 + DEPTH_M, 0.2 - CENTRE[0], 1.0 - CENTRE[1]])
    np.testing.assert_allclose(position(robot.boxes[-1].detections[0]), expected, atol=0.005)


def test_a_late_transform_is_waited_for_and_counted(make_rig):
    robot = RobotCamera(make_rig, target_frame="world", transform_timeout=5.0)
    robot.mount()
    late: list[threading.Timer] = []

    def soon(header):
        stamp_ns = stamp_to_ns(header.stamp)
        robot.move((stamp_ns - 100_000_000, 0.0))
        robot.rig.camera.spin_for(0.3)
        late.append(threading.Timer(0.4, robot.move, [(stamp_ns + 1000, 0.0)]))
        late[0].start()

    robot.ask(before=soon)
    robot.rig.camera.wait(lambda: robot.boxes, "the box after its transform")
    late[0].join()
    robot.counters(lambda values: values["transforms_late"] == "1")


@pytest.mark.parametrize(
    ("frame", "offset_s", "counter", "text"),
    [
        ("world", 1.0, "transforms_extrapolated", "1000 ms older than the image: raise trans"),
        ("world", -3.0, "transforms_extrapolated", "3000 ms newer than the image"),
        ("gripper", 0.0, "transforms_missing", "nobody has told where 'gripper' is; known are"),
        ("dock", 0.0, "transforms_missing", "whose roots are 'world' and 'garage'"),
    ],
)
def test_no_transform_is_an_alarm_with_its_cause_and_ends(
    make_rig, frame, offset_s, counter, text
):
    robot = RobotCamera(make_rig, target_frame=frame, transform_timeout=0.02)
    robot.mount()
    robot.fixed.publish(TFMessage(transforms=[transform("dock", "garage", (0.0, 0.0, 0.0), 0)]))

    def once(header):
        if not moved:
            moved.append(stamp_to_ns(header.stamp) - round(offset_s * 1e9))
            robot.move((moved[0], 0.0))
            robot.rig.camera.spin_for(0.3)

    moved: list[int] = []
    for _ in range(3):
        robot.ask(before=once)
    state = robot.counters(lambda values: "alarm_no_3d_output" in values)
    assert state["level"] == DiagnosticStatus.WARN
    assert int(state[counter]) >= 3
    if HAS_TF2 and counter == "transforms_missing":
        text = "no transform from"  # the reason is in tf2's words
    elif HAS_TF2 and offset_s < 0:
        text = " ms at the image's time is not known"
    if offset_s:  # the stamps of the frames after the first are later
        text = text.partition(" ms ")[2]
    assert text in state["alarm_no_3d_output"]
    assert not robot.boxes


def test_a_change_of_the_target_frame_while_it_runs(make_rig):
    robot = RobotCamera(make_rig, target_frame="")
    robot_camera = robot.rig.camera
    assert robot_camera.set_parameters(target_frame="base_link") == []
    robot.wait_for_listener()
    robot.mount()
    robot_camera.spin_for(0.5)
    robot.ask()
    robot_camera.wait(lambda: robot.boxes, "the box")
    assert robot.boxes[-1].header.frame_id == "base_link"


def test_depth_of_a_camera_beside_the_image(make_rig):
    """Half the size, 5 cm to the right, with intrinsics of its own: moved to the image."""
    robot = RobotCamera(
        make_rig, target_frame="", depth_camera_info_topic="camera/depth/camera_info"
    )
    camera = robot.rig.camera
    infos = camera.node.create_publisher(CameraInfo, "camera/depth/camera_info", 10)
    beside = transform("depth_optical", CAMERA_FRAME, (0.05, 0.0, 0.0), 0)
    robot.fixed.publish(TFMessage(transforms=[beside]))
    camera.wait(infos.get_subscription_count, "the subscription of the depth camera's intrinsics")

    def half(header):
        message = depth_message(Header(stamp=header.stamp, frame_id="depth_optical"))
        values = np.frombuffer(message.data, np.uint16).reshape(HW)[::2, ::2]
        message.height, message.width, message.step = HW[0] // 2, HW[1] // 2, HW[1]
        message.data = values.astype(np.uint16).tobytes()
        return message

    def send_info(header):
        info = info_message(Header(stamp=header.stamp, frame_id="depth_optical"), p=False)
        info.height, info.width = HW[0] // 2, HW[1] // 2
        info.k = [100.0, 0.0, 39.75, 0.0, 100.0, 29.75, 0.0, 0.0, 1.0]
        infos.publish(info)
        camera.spin_for(0.2)

    robot.ask(depth=half, before=send_info)
    camera.wait(lambda: robot.boxes, "the box")
    (detection,) = robot.boxes[-1].detections
    np.testing.assert_allclose(position(detection), (*CENTRE, DEPTH_M), atol=0.01)
    size = detection.bbox.size
    np.testing.assert_allclose((size.x, size.y), (0.3, 0.375), atol=0.01)


def test_depth_out_of_range_is_unknown(make_rig):
    robot = RobotCamera(make_rig, target_frame="", depth_max=1.2)
    for _ in range(3):
        robot.ask()
    state = robot.counters(lambda values: "alarm_no_3d_output" in values)
    assert "no pixel of the depth image has a depth" in state["alarm_no_3d_output"]
    robot.rig.camera.set_parameters(depth_max=2.0, depth_min=0.5)
    robot.ask()
    robot.rig.camera.wait(lambda: robot.boxes, "the box")
