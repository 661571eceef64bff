# SPDX-License-Identifier: Apache-2.0
"""Starts the node amodal_perception: ``ros2 launch amodal_ros perception.launch.py``.

robot.launch.py starts a detector beside it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from launch import LaunchDescription  # type: ignore[attr-defined]  # mypy sees this folder
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from amodal_ros.ros.optional_packages import missing
from amodal_ros.ros.parameters.table import PARAMETERS

# Arguments that are left empty leave their parameters to params_file.
_OVERRIDES = (
    *((spec.name, type(spec.default), spec.description, spec.expected) for spec in PARAMETERS),
    ("use_sim_time", bool, "Take the time from /clock, as with a bag", "true or false"),
)
# demo.launch.py, which includes this file, has an argument of the same name for its own viewer.
_NO_RVIZ = ("", "true", "false")
# Topics that perception.rviz shows.
_SHOWN = ("overlay", "label_image", "box_markers", "points")
# The command line takes no argument without a value.
_EMPTY = ("''", '""')
_READ = {bool: lambda text: {"true": True, "false": False}[text.lower()], int: int, float: float}


def _end_with_launch():
    """A prefix that ends the node with the launch process, however that one ends.

    On SIGTERM, ``ros2 launch`` itself leaves its processes behind (LaunchService._on_sigterm).
    """
    setpriv = shutil.which("setpriv")  # of util-linux, so on every Linux
    return f"{setpriv} --pdeathsig TERM" if setpriv else ""


def _value(name, kind, expected, text):
    if kind is str:  # said, or else "7" would become a number
        return ParameterValue("" if text in _EMPTY else text, value_type=str)
    try:
        return _READ[kind](text)
    except (KeyError, ValueError):
        raise ValueError(f"argument {name} is {text!r}, expected {expected}") from None


def _perception_node(context):
    params_file = LaunchConfiguration("params_file").perform(context)
    if not Path(params_file).is_file():  # launch_ros would warn and go on without it
        raise FileNotFoundError(f"params_file {params_file}: no such file")
    given = {
        name: _value(name, kind, expected, text)
        for name, kind, _, expected in _OVERRIDES
        if (text := LaunchConfiguration(name).perform(context))
    }
    node = LifecycleNode(
        package="amodal_ros",
        executable="amodal_perception",
        exec_name="amodal_perception",  # in the log, instead of the prefix
        name="amodal_perception",
        namespace=LaunchConfiguration("namespace"),
        parameters=[params_file, given],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        prefix=_end_with_launch(),
        output="screen",
        emulate_tty=True,
    )
    return [node]


def _rviz(context):
    """RViz on the node's topics, where that was asked for and RViz is installed."""
    view = LaunchConfiguration("view").perform(context)
    if view in _NO_RVIZ:
        return []
    if view != "rviz":
        raise ValueError(f"argument view is {view!r}, expected rviz or nothing")
    lacks = missing("rviz2", "view:=rviz", "The node starts without a view")
    if lacks:
        return [LogInfo(msg=lacks)]
    config = PathJoinSubstitution([FindPackageShare("amodal_ros"), "config", "perception.rviz"])
    frame = LaunchConfiguration("view_frame").perform(context)
    namespace = LaunchConfiguration("namespace").perform(context).strip("/")
    node = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        arguments=["-d", config, *(["-f", frame] if frame else [])],
        remappings=[
            (f"/amodal/{name}", f"/{namespace}/amodal/{name}") for name in _SHOWN if namespace
        ],
        prefix=_end_with_launch(),
    )
    return [node]


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution(
                [FindPackageShare("amodal_ros"), "config", "perception.yaml"]
            ),
            description="Parameter file of the node; the arguments below override it",
        ),
        *(
            DeclareLaunchArgument(
                name,
                default_value="",
                description=f"{text} ({expected}). Left empty: the value in params_file"
                + ("; \"''\": an empty text" if kind is str else ""),
            )
            for name, kind, text, expected in _OVERRIDES
        ),
        DeclareLaunchArgument(
            "namespace",
            default_value="",
            description="Namespace of the node and its topics, one for each camera",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            description="Lowest severity that is logged",
            choices=["debug", "info", "warn", "error", "fatal"],
        ),
        DeclareLaunchArgument(
            "view",
            default_value="",
            description="rviz: show overlay, labels, boxes and points in RViz; without RViz "
            "installed the node starts all the same, with a message. Left empty: no viewer",
        ),
        DeclareLaunchArgument(
            "view_frame",
            default_value="",
            description="RViz's fixed frame, such as base_link. Left empty: that of "
            "config/perception.rviz, camera_color_optical_frame",
        ),
    ]
    functions = (_perception_node, _rviz)
    return LaunchDescription(
        [*arguments, *(OpaqueFunction(function=function) for function in functions)]
    )
