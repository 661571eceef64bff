# SPDX-License-Identifier: Apache-2.0
"""Camera file, perception and overlay: ``ros2 launch amodal_ros demo.launch.py``.

Publishes the pictures and boxes of a video, an image, a folder of images or a webcam as a camera
and a detector would, and answers them. Look at ``/amodal/overlay`` with ``view:=true``, or with
``ros2 run rqt_image_view rqt_image_view /amodal/overlay``.
"""

from __future__ import annotations

import shlex
import shutil

from launch import LaunchDescription  # type: ignore[attr-defined]  # mypy sees this folder
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetLaunchConfiguration,
    Shutdown,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from amodal_ros.ros.demo.arguments import FOR_EVER_S

# Arguments that become options of the demo camera, with their descriptions.
_CAMERA_OPTIONS = (
    (
        "source",
        "Video file, image, folder of images or camera index. Left empty: the clip that comes "
        "along, with its true boxes",
    ),
    ("boxes", "JSON file with the boxes of each frame, for a source of your own"),
    ("box", "An object in the first frame as X0,Y0,X1,Y1 in pixels; it never expires"),
    (
        "rate",
        "Pictures a second. Left empty: each picture waits for the answer to the one before",
    ),
    ("frames", "Stop after so many pictures. Left empty: all"),
)


def _end_all(event, context):
    # Where all end already, as on Ctrl-C, launch_ros fails on being told again.
    return [] if context.is_shutdown else [Shutdown(reason="the demo camera ended")]


def _options(context):
    options = []
    for name, _ in _CAMERA_OPTIONS:
        value = LaunchConfiguration(name).perform(context)
        if value:
            options += [f"--{name}", value]
    options += shlex.split(LaunchConfiguration("camera_arguments").perform(context))
    return options


def _coasting(context):
    """As in scripts/demo, hidden objects live on; unless max_coast is given."""
    options = _options(context)
    if LaunchConfiguration("max_coast", default="").perform(context):
        return []
    if "--box" in options or "--source" not in options:
        return [SetLaunchConfiguration("max_coast", str(FOR_EVER_S))]
    return []


def _camera(context):
    setpriv = shutil.which("setpriv")  # see perception.launch.py
    camera = Node(
        package="amodal_ros",
        executable="amodal_demo_camera",
        exec_name="amodal_demo_camera",
        namespace=LaunchConfiguration("namespace"),
        arguments=_options(context),
        prefix=f"{setpriv} --pdeathsig TERM" if setpriv else "",
        output="screen",
        on_exit=_end_all,
    )
    return [camera]


def generate_launch_description():
    arguments = [
        *(
            DeclareLaunchArgument(name, default_value="", description=text)
            for name, text in _CAMERA_OPTIONS
        ),
        DeclareLaunchArgument(
            "camera_arguments",
            default_value="",
            description="Further options of amodal_demo_camera; its --help lists them",
        ),
        DeclareLaunchArgument(
            "view",
            default_value="false",
            description="true: show the overlay with rqt_image_view, which must be installed",
            choices=["true", "false"],
        ),
        DeclareLaunchArgument(
            "namespace", default_value="", description="Namespace of all nodes and topics"
        ),
    ]
    perception = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution(
                [FindPackageShare("amodal_ros"), "launch", "perception.launch.py"]
            )
        ),
        launch_arguments={"namespace": LaunchConfiguration("namespace")}.items(),
    )
    viewer = Node(
        package="rqt_image_view",
        executable="rqt_image_view",
        namespace=LaunchConfiguration("namespace"),
        arguments=["amodal/overlay"],
        condition=IfCondition(LaunchConfiguration("view")),
    )
    coasting, camera = OpaqueFunction(function=_coasting), OpaqueFunction(function=_camera)
    return LaunchDescription([*arguments, coasting, perception, camera, viewer])
