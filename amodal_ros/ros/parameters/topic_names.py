# SPDX-License-Identifier: Apache-2.0
"""Names of topics and services where one node serves several cameras."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from amodal_ros.errors import InvalidInputError

if TYPE_CHECKING:
    from amodal_ros.ros.parameters.table import PerceptionParameters

OUTPUTS = (
    "masks",
    "masks_ahead",
    "detections",
    "overlay",
    "timing",
    "label_image",
    "label_info",
    "semantic_image",
    "semantic_info",
    "outlines",
    "detections_3d",
    "points",
    "box_markers",
)

_CAMERA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def camera_names(parameters: PerceptionParameters) -> tuple[str, ...]:
    """The cameras' prefixes; one empty name where ``cameras`` names none."""
    if not parameters.cameras:
        return ("",)
    return tuple(name.strip() for name in parameters.cameras.split(","))


def check_cameras(parameters: PerceptionParameters) -> None:
    """Refuses names of cameras that cannot prefix topics, and topics that they cannot prefix.

    Raises:
        InvalidInputError: naming the parameter.
    """
    names = camera_names(parameters)
    wrong = [name for name in names if name and not _CAMERA_NAME.fullmatch(name)]
    if wrong or len(set(names)) < len(names) or ("" in names and len(names) > 1):
        raise InvalidInputError(
            f"parameter cameras is {parameters.cameras!r}, expected different names of letters, "
            "digits and _ with commas between them"
        )
    for name in (
        *("image_topic", "detections_topic", "depth_topic", "camera_info_topic"),
        "depth_camera_info_topic",
    ):
        topic = getattr(parameters, name)
        if parameters.cameras and topic.startswith(("/", "~")):
            raise InvalidInputError(
                f"parameter {name} is {topic!r}, expected a relative name: with cameras, each "
                "camera prefixes it"
            )


def of_camera(camera: str, name: str) -> str:
    """The name with the camera's prefix; unchanged for the only camera, whose name is empty."""
    return f"{camera}/{name}" if camera else name


def image_topic(parameters: PerceptionParameters) -> str:
    """The topic of the images as they are transported; image_transport names it so."""
    return _transported(parameters.image_topic, parameters.image_transport)


def depth_topic(parameters: PerceptionParameters) -> str:
    """The topic of depth as it is transported; empty: there is none."""
    return _transported(parameters.depth_topic, parameters.depth_transport)


def _transported(topic: str, transport: str) -> str:
    if not topic or transport == "raw" or topic.endswith(f"/{transport}"):
        return topic
    return f"{topic}/{transport}"


def belongs_to(
    camera: str, parameters: PerceptionParameters, resolve: Callable[[str], str]
) -> Callable[[str], bool]:
    """Tells of the full name of a topic whether it is that camera's.

    Each topic belongs to one camera; those of the node as such to the first.

    Args:
        camera: one of the parameters' names.
        parameters: name the cameras and their inputs.
        resolve: gives full, remapped names, as ``Node.resolve_topic_name``.
    """
    names = [
        image_topic(parameters),
        parameters.detections_topic,
        depth_topic(parameters),
        parameters.camera_info_topic,
        parameters.depth_camera_info_topic,
        *(f"amodal/{output}" for output in OUTPUTS),
    ]
    cameras = camera_names(parameters)
    owners = {
        resolve(of_camera(owner, name)): owner for owner in cameras for name in names if name
    }
    return lambda topic: owners.get(topic, cameras[0]) == camera
