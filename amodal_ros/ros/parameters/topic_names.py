# SPDX-License-Identifier: Apache-2.0
"""Names of topics and services where one node serves several cameras."""

from __future__ import annotations

from collections.abc import Callable

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
    owners = {
        resolve(of_camera(owner, name)): owner
        for owner in parameters.camera_names
        for name in names
        if name
    }
    first = parameters.camera_names[0]
    return lambda topic: owners.get(topic, first) == camera
