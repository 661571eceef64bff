# SPDX-License-Identifier: Apache-2.0
"""The demo's camera, the node and, with ``out``, its recorder, as scripts/demo starts them.

``ros2 launch amodal_ros demo.launch.py`` plays the pictures and boxes of a video, an image, a
folder of images, a recording or a webcam. Look at ``/amodal/overlay`` with ``view:=true``, or with
``ros2 run rqt_image_view rqt_image_view /amodal/overlay``. Parts, arguments and parameters are
those of ``amodal_ros.ros.demo.cast``.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from launch import LaunchDescription  # type: ignore[attr-defined]  # mypy sees this folder
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetLaunchConfiguration,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from amodal_ros.ros.demo.camera import parse_arguments
from amodal_ros.ros.demo.cast import cast_of
from amodal_ros.ros.demo.run import prepare_folder
from amodal_ros.ros.demo.stage import load_stage
from amodal_ros.ros.optional_packages import missing

# Arguments that become options of the demo camera, with their descriptions.
_CAMERA_OPTIONS = (
    (
        "source",
        "Video file, image, folder of images, recording or camera index. Left empty: the clip "
        "of the package, with its true boxes",
    ),
    ("boxes", "JSON file with the boxes of each frame, for a source of your own"),
    ("box", "An object in the first frame as X0,Y0,X1,Y1 in pixels, given by ~/add_object"),
    (
        "rate",
        "Pictures per second. Left empty: each picture waits for the answer to the last one",
    ),
    ("frames", "Stop after so many pictures. Left empty: all"),
)
_WRITING_TIMEOUT_S = "120"


def _end_all(event, context):
    # Where all end already, as on Ctrl-C, launch_ros fails on being told again.
    return [] if context.is_shutdown else [Shutdown(reason="the demo camera ended")]


def _options(context):
    options = []
    for name, _ in _CAMERA_OPTIONS:
        value = LaunchConfiguration(name).perform(context)
        if value:
            options += [f"--{name}", value]
    return options + shlex.split(LaunchConfiguration("camera_arguments").perform(context))


def _cast(context):
    """The parts that scripts/demo would start, checked before anything is started."""
    arguments = parse_arguments(_options(context))
    out = LaunchConfiguration("out").perform(context)
    if out:
        prepare_folder(Path(out))
    return cast_of(arguments, load_stage(arguments), Path(out) if out else None)


def _text(value):
    """As perception.launch.py reads it; the empty text is given in quotes."""
    return "''" if value == "" else str(value)


def _begin(context):
    """The node's parameters, unless they are given, and the parts beside the node."""
    cast = _cast(context)
    settings = [
        SetLaunchConfiguration(name, _text(value))
        for name, value in cast.perception.parameters.items()
        if not LaunchConfiguration(name, default="").perform(context)
    ]
    camera = _node(cast.camera, on_exit=_end_all)
    recorder = cast.recorder and _node(cast.recorder, sigterm_timeout=_WRITING_TIMEOUT_S)
    return [*settings, *([recorder] if recorder else []), camera]


def _node(part, **options):
    setpriv = shutil.which("setpriv")  # see perception.launch.py
    return Node(
        package="amodal_ros",
        executable=part.executable,
        exec_name=part.executable,
        namespace=LaunchConfiguration("namespace"),
        arguments=list(part.arguments),
        prefix=f"{setpriv} --pdeathsig TERM" if setpriv else "",
        output="screen",
        **options,
    )


def _viewer(context):
    """rqt_image_view on the overlay, where that was asked for and it is installed."""
    if LaunchConfiguration("view").perform(context) != "true":
        return []
    lacks = missing("rqt_image_view", "view:=true", "The demo starts without a view")
    if lacks:
        return [LogInfo(msg=lacks)]
    viewer = Node(
        package="rqt_image_view",
        executable="rqt_image_view",
        namespace=LaunchConfiguration("namespace"),
        arguments=["amodal/overlay"],
    )
    return [viewer]


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
            "out",
            default_value="",
            description="Folder for overlay.mp4, contact_sheet.png, masks.json and summary.json. "
            "Left empty: nothing is written",
        ),
        DeclareLaunchArgument(
            "view",
            default_value="false",
            description="true: show the overlay with rqt_image_view; without it installed the "
            "demo starts all the same, with a message",
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
    functions = (OpaqueFunction(function=function) for function in (_begin, _viewer))
    return LaunchDescription([*arguments, *functions, perception])
