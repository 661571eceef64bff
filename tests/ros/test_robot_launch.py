# SPDX-License-Identifier: Apache-2.0
"""launch/robot.launch.py: a detector, the node and a viewer, and what is said where one lacks."""

from __future__ import annotations

import os
import re

import pytest

from tests.ros.launch_rig import (
    HAS_LAUNCH,
    ROOT,
    check_described,
    installed,
    on_recorders,
    real_launch,
)

ROBOT_FILE = ROOT / "launch" / "robot.launch.py"
__all__ = ["installed", "on_recorders"]


@pytest.fixture
def robot_file(on_recorders):
    """Globals of robot.launch.py."""
    return on_recorders(ROBOT_FILE)


def context(robot_file, **given: str) -> dict:
    (listed,) = robot_file["generate_launch_description"]().args
    declared = {e.args[0]: e for e in listed if type(e).__name__ == "DeclareLaunchArgument"}
    defaults = {name: entry.kwargs["default_value"] for name, entry in declared.items()}
    return {**defaults, **given}


def detector(robot_file, **given: str):
    """What is set for the node, and the included file with its arguments."""
    *settings, group = robot_file["_detector"](context(robot_file, **given))
    assert group.kwargs == {"forwarding": False}
    ((included,),) = group.args
    arguments = dict(included.kwargs["launch_arguments"])
    return dict(entry.args for entry in settings), included.args[0].args[0], arguments


def test_it_describes_its_arguments_and_includes_the_node(robot_file):
    (listed,) = robot_file["generate_launch_description"]().args
    kinds = [type(entry).__name__ for entry in listed]
    assert kinds[-2:] == ["OpaqueFunction", "IncludeLaunchDescription"]
    check_described({entry.args[0]: entry for entry in listed[:-2]})
    (source,) = listed[-1].args
    assert source.args[0].args[0][1:] == ["launch", "perception.launch.py"]


def test_yolo_gets_the_image_and_the_node_its_boxes(robot_file, installed):
    file = installed("yolo_bringup", "launch/yolo.launch.py")
    settings, included, arguments = detector(robot_file, namespace="left", image_topic="image")
    assert included == str(file)
    assert arguments == {"namespace": "yolo", "input_image_topic": "/left/image"}
    assert settings == {"detections_topic": "/yolo/tracking", "detections_type": "yolo_msgs"}
    given = "use_tracking:=False namespace:=eyes 'model:=a b.pt'"
    settings, _, arguments = detector(
        robot_file, detector_arguments=given, detections_type="vision_msgs"
    )
    assert settings == {"detections_topic": "/eyes/detections"}
    assert arguments["input_image_topic"] == "/camera/image_raw"
    assert arguments["model"] == "a b.pt"


def test_any_other_detector_is_its_launch_file(robot_file, installed):
    file = installed("my_detector", "launch/go.launch.xml")
    settings, included, arguments = detector(
        robot_file, detector="my_detector/go.launch.xml", detector_arguments="text:=cup"
    )
    assert (settings, included, arguments) == ({}, str(file), {"text": "cup"})
    assert robot_file["_detector"](context(robot_file, detector="none")) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"detector": "here/no.launch.py"}, "package here has no launch file no.launch.py"),
        ({"detector": "yolov8"}, "detector is 'yolov8', expected yolo, none or package/file"),
        (
            {"detector": "here/go.launch.py", "detector_arguments": "device=cpu"},
            "got 'device=cpu', expected name:=value",
        ),
    ],
)
def test_what_cannot_start_is_one_line(robot_file, installed, given, message):
    installed("here", "launch/go.launch.py")
    with pytest.raises((RuntimeError, ValueError), match=f"{re.escape(message)}[^\n]*$"):
        robot_file["_detector"](context(robot_file, **given))


def test_a_detector_that_is_not_installed_is_said_and_the_node_starts(robot_file, installed):
    installed("here")
    (said,) = robot_file["_detector"](context(robot_file))  # and nothing is set for the node
    assert type(said).__name__ == "LogInfo"
    assert said.kwargs["msg"] == (
        "WARNING: detector:=yolo: package yolo_bringup is not installed; build it in this "
        "workspace (docs/node.md). The node starts and waits for boxes on its detections_topic, "
        "or for ~/add_object"
    )
    (said,) = robot_file["_detector"](context(robot_file, detector="eyes/go.launch.py"))
    assert "detector:=eyes/go.launch.py: package eyes is not installed" in said.kwargs["msg"]


if HAS_LAUNCH:

    def test_real_launch_keeps_the_detectors_arguments_apart(tmp_path):
        """Beside a detector whose launch file has arguments of the same names, as yolo_ros's."""
        prefix = tmp_path / "prefix"
        index = prefix / "share" / "ament_index" / "resource_index" / "packages"
        index.mkdir(parents=True)
        (index / "yolo_bringup").touch()
        file = prefix / "share" / "yolo_bringup" / "launch" / "yolo.launch.py"
        file.parent.mkdir(parents=True)
        file.write_text(
            "from launch import LaunchDescription\n"
            "from launch.actions import DeclareLaunchArgument as Argument, LogInfo\n"
            "from launch.substitutions import LaunchConfiguration as Value\n"
            "def generate_launch_description():\n"
            "    names = {'namespace': 'yolo', 'image_reliability': '1'}\n"
            "    arguments = [Argument(n, default_value=v) for n, v in names.items()]\n"
            "    said = [LogInfo(msg=[n, ' is ', Value(n)]) for n in names]\n"
            "    return LaunchDescription([*arguments, *said])\n"
        )
        paths = os.pathsep.join((str(prefix), os.environ["AMENT_PREFIX_PATH"]))
        output = real_launch(ROBOT_FILE, "image_reliability:=reliable", AMENT_PREFIX_PATH=paths)
        assert "image_reliability is 1" in output
        assert "namespace is yolo" in output
        refusal = "[amodal_perception]: cannot configure: parameter detections_type is 'yolo_msgs'"
        assert refusal in output

    def test_real_launch_says_what_is_not_installed_and_starts_the_node():
        said = real_launch(ROBOT_FILE, "view:=rviz", "slop:=7.0")
        assert "package yolo_bringup is not installed" in said
        assert "package rviz2 is not installed" in said
        assert "cannot start: parameter slop is 7.0" in said  # by the node
