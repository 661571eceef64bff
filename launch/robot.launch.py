# SPDX-License-Identifier: Apache-2.0
"""A detector, the node and RViz: ``ros2 launch amodal_ros robot.launch.py view:=rviz``.

The detector is yolo_ros, or the launch file of any other that publishes boxes. What is not
installed is said in one line, and the rest starts: boxes may come from elsewhere, or by hand.
All arguments of perception.launch.py are taken too.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription  # type: ignore[attr-defined]  # mypy sees this folder
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetLaunchConfiguration,
)
from launch.launch_description_sources import AnyLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from amodal_ros.ros.optional_packages import missing

_YOLO = "yolo_bringup/yolo.launch.py"


def _given(context, name):
    return LaunchConfiguration(name, default="").perform(context)


def _yolo_arguments(context):
    """yolo_ros's own names; it publishes /yolo/tracking and /yolo/detections."""
    return {"namespace": "yolo", "input_image_topic": _image_topic(context)}


def _image_topic(context):
    """As seen from anywhere: the detector may have a namespace of its own."""
    topic = _given(context, "image_topic") or "camera/image_raw"
    namespace = _given(context, "namespace").strip("/")
    return topic if topic.startswith("/") else f"/{namespace}/{topic}".replace("//", "/")


def _detector(context):
    """The detector's launch file, apart: names of its arguments are also names of ours."""
    name = _given(context, "detector")
    if name == "none":
        return []
    file, lacks = _launch_file(_YOLO if name == "yolo" else name)
    if lacks:
        return [LogInfo(msg=lacks)]
    arguments = _yolo_arguments(context) if name == "yolo" else {}
    for word in shlex.split(_given(context, "detector_arguments")):
        key, sign, value = word.partition(":=")
        if not sign:
            raise ValueError(f"detector_arguments: got {word!r}, expected name:=value")
        arguments[key] = value
    included = IncludeLaunchDescription(
        AnyLaunchDescriptionSource(str(file)), launch_arguments=list(arguments.items())
    )
    return [
        *(_yolo_topics(context, arguments) if name == "yolo" else []),
        GroupAction([included], forwarding=False),
    ]


def _yolo_topics(context, arguments):
    """Where the node finds yolo_ros's boxes, unless that is given."""
    tracked = arguments.get("use_tracking", "True").lower() in ("true", "1")
    boxes = "tracking" if tracked else "detections"
    settings = {
        "detections_topic": f"/{arguments['namespace'].strip('/')}/{boxes}",
        "detections_type": "yolo_msgs",
    }
    return [
        SetLaunchConfiguration(name, value)
        for name, value in settings.items()
        if not _given(context, name)
    ]


def _launch_file(name):
    """The file that ``package/file`` names, or what to say where the package is not installed."""
    package, sign, file = name.partition("/")
    if not (sign and file):
        raise ValueError(f"detector is {name!r}, expected yolo, none or package/file.launch.py")
    lacks = missing(
        package,
        f"detector:={'yolo' if name == _YOLO else name}",
        "The node starts and waits for boxes on its detections_topic, or for ~/add_object",
        how="build it in this workspace (docs/node.md)",
    )
    if lacks:
        return None, lacks
    share = Path(get_package_share_directory(package))
    found = [place for place in (share / "launch" / file, share / file) if place.is_file()]
    if not found:
        raise RuntimeError(f"detector: package {package} has no launch file {file}")
    return found[0], None


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(
            "detector",
            default_value="yolo",
            description="yolo: start yolo_ros and take its boxes. none: take the boxes on "
            "detections_topic. Or the launch file of another detector, as package/file.launch.py",
        ),
        DeclareLaunchArgument(
            "detector_arguments",
            default_value="",
            description="Arguments of the detector's launch file, such as 'model:=yolo11n.pt "
            "device:=cpu'",
        ),
        DeclareLaunchArgument(
            "namespace",
            default_value="",
            description="Namespace of the node and its topics; yolo_ros stays in /yolo",
        ),
    ]
    perception = IncludeLaunchDescription(
        AnyLaunchDescriptionSource(
            PathJoinSubstitution(
                [FindPackageShare("amodal_ros"), "launch", "perception.launch.py"]
            )
        ),
        launch_arguments={"namespace": LaunchConfiguration("namespace")}.items(),
    )
    return LaunchDescription(
        [
            *arguments,
            OpaqueFunction(function=_detector),
            perception,
        ]
    )
