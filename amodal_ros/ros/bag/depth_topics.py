# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording hold what 3D needs: depth and the intrinsics that belong to it."""

from __future__ import annotations

from dataclasses import dataclass

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.definitions import installed_decoder
from amodal_ros.ros.bag.reader import Bag
from amodal_ros.ros.bag.storage import BagTopic
from amodal_ros.ros.bag.topics import COMPRESSED_IMAGE, IMAGE, IMAGE_TYPES, is_depth, named_topic

INFO = "sensor_msgs/msg/CameraInfo"
_COMPRESSED_DEPTH = "/compressedDepth"
_TRANSPORTS = ("/compressed", _COMPRESSED_DEPTH)
_ALIGNED = ("aligned", "registered")  # in the names of common drivers


@dataclass(frozen=True)
class DepthTopics:
    """What 3D is made of.

    Attributes:
        depth: depth images.
        info: intrinsics of the images.
        depth_info: of the depth camera; None: depth is aligned with the images.
    """

    depth: BagTopic
    info: BagTopic
    depth_info: BagTopic | None

    def names(self) -> list[str]:
        """Of all topics."""
        every = (self.depth, self.info, self.depth_info)
        return [topic.name for topic in every if topic is not None]

    def finding(self) -> str:
        """What was found, in words."""
        text = f"3D boxes from depth on {self.depth.name}, intrinsics on {self.info.name}"
        if self.depth_info is None:
            return f"{text}: depth is taken as aligned with the images"
        return f"{text} and, of the depth camera, on {self.depth_info.name}"


def depth_topics(
    bag: Bag,
    images: BagTopic,
    depth: str | None = None,
    info: str | None = None,
    depth_info: str | None = None,
) -> DepthTopics:
    """The topics that 3D needs.

    Args:
        bag: the recording.
        images: its topic of images.
        depth: name of the topic of depth; None: the only one that there is, or the only one that
            says that it is aligned.
        info: that of the images' intrinsics; None: the one beside the images, or the only one.
        depth_info: that of the depth camera's; None: the one beside the depth images, where they
            are in another frame than the images, else none.

    Raises:
        InvalidInputError: there is none, or one must be chosen.
    """
    found = _depth_topic(bag, images, depth)
    intrinsics = _info_topic(bag, images, info)
    if depth_info is not None:
        return DepthTopics(
            found, intrinsics, named_topic(bag, depth_info, (INFO,), _option("depth-camera-info"))
        )
    frames = bag.salvaged(lambda: [_frame_id(bag, topic) for topic in (images, found)])
    beside = None if frames[0] == frames[1] else _topic(bag, _beside(found.name), INFO)
    return DepthTopics(found, intrinsics, None if beside == intrinsics else beside)


def _depth_topic(bag: Bag, images: BagTopic, name: str | None) -> BagTopic:
    option = _option("depth")
    if name is not None:
        return named_topic(bag, name, IMAGE_TYPES, option)
    found = [
        topic
        for topic in bag.topics
        if topic.count
        and topic.name != images.name
        and is_depth(topic.name)
        and (
            topic.type == IMAGE
            or (topic.type == COMPRESSED_IMAGE and topic.name.endswith(_COMPRESSED_DEPTH))
        )
    ]
    raw = {topic.name for topic in found if topic.type == IMAGE}
    found = [t for t in found if t.name.removesuffix(_COMPRESSED_DEPTH) not in raw - {t.name}]
    aligned = [t for t in found if any(word in t.name.lower() for word in _ALIGNED)]
    if len(found) != 1 and len(aligned) != 1:
        names = ", ".join(topic.name for topic in found)
        raise InvalidInputError(
            f"{bag.path} has more than one topic of depth: choose one with {option}: {names}"
            if found
            else f"{bag.path} has no topic of depth images"
        )
    return found[0] if len(found) == 1 else aligned[0]


def _info_topic(bag: Bag, images: BagTopic, name: str | None) -> BagTopic:
    option = _option("camera-info")
    if name is not None:
        return named_topic(bag, name, (INFO,), option)
    beside = _topic(bag, _beside(images.name), INFO)
    if beside is not None:
        return beside
    every = [topic for topic in bag.topics if topic.type == INFO and topic.count]
    found = [topic for topic in every if not is_depth(topic.name)]
    if len(found) != 1:
        names = ", ".join(topic.name for topic in every) or "none of any camera"
        raise InvalidInputError(
            f"{bag.path} has no intrinsics beside {images.name}: choose them with {option}: "
            f"{names}"
        )
    return found[0]


def _beside(name: str) -> str:
    """The name of a camera's intrinsics by that of its images, as image_transport finds it."""
    for transport in _TRANSPORTS:
        name = name.removesuffix(transport)
    return f"{name.rpartition('/')[0]}/camera_info"


def _topic(bag: Bag, name: str, kind: str) -> BagTopic | None:
    found = (t for t in bag.topics if t.name == name and t.type == kind and t.count)
    return next(found, None)


def _frame_id(bag: Bag, topic: BagTopic) -> str:
    """Of the first message that can be read; empty: of none."""
    decode = installed_decoder(topic.type)
    for message in bag.messages([topic.name]):
        try:
            return str(decode(message.data).header.frame_id)
        except Exception:  # whatever damaged bytes lead to
            continue
    return ""


def _option(what: str) -> str:
    return f"--{what}-topic"
