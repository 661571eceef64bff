# SPDX-License-Identifier: Apache-2.0
"""Starts the node amodal_perception: ``ros2 launch amodal_ros perception.launch.py``."""

from __future__ import annotations

from pathlib import Path

from launch import LaunchDescription  # type: ignore[attr-defined]  # mypy sees this folder
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

# Parameters that can be given as launch arguments, their types and descriptions. An argument that
# is left empty leaves the parameter to params_file.
_OVERRIDES = (
    ("image_topic", str, "Topic of the camera's images (sensor_msgs/Image)"),
    (
        "detections_topic",
        str,
        "Topic of the boxes (vision_msgs/Detection2DArray), stamped as their images",
    ),
    ("model_dir", str, "Model folder; the packaged model if neither gives one"),
    (
        "image_reliability",
        str,
        "Reliability asked of the image publisher: best_effort or reliable",
    ),
    ("slop", float, "Largest difference in seconds of image and box stamps"),
    ("threads", int, "Threads of the engine; 0: one for each core"),
    (
        "autostart",
        bool,
        "true: configure and activate by itself; false: wait for lifecycle transitions",
    ),
    ("use_sim_time", bool, "true: take the time from /clock, as with a bag"),
)


def _perception_node(context):
    params_file = LaunchConfiguration("params_file").perform(context)
    if not Path(params_file).is_file():  # launch_ros would warn and go on without it
        raise FileNotFoundError(f"params_file {params_file}: no such file")
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, kind, _ in _OVERRIDES
        if LaunchConfiguration(name).perform(context)
    }
    node = LifecycleNode(
        package="amodal_ros",
        executable="amodal_perception",
        name="amodal_perception",
        namespace=LaunchConfiguration("namespace"),
        parameters=[params_file, given],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
        emulate_tty=True,
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
                name, default_value="", description=f"{text}. Empty: as params_file says"
            )
            for name, _, text in _OVERRIDES
        ),
        DeclareLaunchArgument(
            "namespace",
            default_value="",
            description="Namespace of the node and its topics, one for each camera",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            description="Least severity that is logged",
            choices=["debug", "info", "warn", "error", "fatal"],
        ),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_perception_node)])
