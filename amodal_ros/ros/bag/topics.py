# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording hold images, boxes and masks: named, or found by their types."""

from __future__ import annotations

from collections.abc import Sequence

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.reader import Bag
from amodal_ros.ros.bag.storage import BagTopic

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
BOXES = "vision_msgs/msg/Detection2DArray"
YOLO_BOXES = "yolo_msgs/msg/DetectionArray"
BOX_TYPES = (BOXES, YOLO_BOXES)
MASKS = "amodal_msgs/msg/AmodalMaskArray"
_COMPRESSED = "/compressed"


def image_topic(bag: Bag, name: str | None = None) -> BagTopic:
    """The topic of the images.

    Args:
        bag: the recording.
        name: of the topic; None: the only one that there is. Depth images and this package's own
            pictures do not count, nor a compressed topic beside its raw one.

    Raises:
        InvalidInputError: there is none, or more than one; the message names the topics.
    """
    if name is not None:
        return _named(bag, name, IMAGE_TYPES, "--image-topic")
    found = [topic for topic in _of_types(bag, IMAGE_TYPES) if not _is_depth(topic.name)]
    raw = {topic.name for topic in found if topic.type == IMAGE}
    found = [t for t in found if t.name.removesuffix(_COMPRESSED) not in raw - {t.name}]
    return _only(bag, found, "image topic", IMAGE_TYPES, "--image-topic")


def box_topic(bag: Bag, name: str | None = None) -> BagTopic:
    """The topic of the boxes.

    Args:
        bag: the recording.
        name: of the topic; None: the only one that there is, this package's own not counted.

    Raises:
        InvalidInputError: there is none, or more than one; the message names the topics.
    """
    if name is not None:
        return _named(bag, name, BOX_TYPES, "--detections-topic")
    return _only(bag, _of_types(bag, BOX_TYPES), "topic of boxes", BOX_TYPES, "--detections-topic")


def mask_topic(bag: Bag, name: str | None = None) -> BagTopic:
    """The topic of the masks.

    Args:
        bag: the recording.
        name: of the topic; None: the only one that there is.

    Raises:
        InvalidInputError: there is none, or more than one; the message names the topics.
    """
    if name is not None:
        return _named(bag, name, (MASKS,), "--masks-topic")
    found = [topic for topic in bag.topics if topic.type == MASKS and topic.count]
    return _only(bag, found, "topic of masks", (MASKS,), "--masks-topic")


def has_boxes(bag: Bag) -> bool:
    """Whether a recording has a topic of boxes that a detector published."""
    return bool(_of_types(bag, BOX_TYPES))


def topics_in_words(bag: Bag) -> str:
    """All topics with type and number of messages."""
    listed = [f"{topic.name} ({topic.type}, {topic.count})" for topic in bag.topics]
    return "it holds " + (", ".join(listed) or "no topic")


def _of_types(bag: Bag, types: Sequence[str]) -> list[BagTopic]:
    found = [topic for topic in bag.topics if topic.type in types and topic.count]
    return [topic for topic in found if "/amodal/" not in topic.name]


def _named(bag: Bag, name: str, types: Sequence[str], option: str) -> BagTopic:
    name = f"/{name.lstrip('/')}"
    for topic in bag.topics:
        if topic.name == name:
            if topic.type in types:
                return topic
            raise InvalidInputError(
                f"{option} {name} of {bag.path} is of type {topic.type}, expected "
                f"{' or '.join(types)}"
            )
    raise InvalidInputError(f"{bag.path} has no topic {name}: {topics_in_words(bag)}")


def _only(
    bag: Bag, found: Sequence[BagTopic], what: str, types: Sequence[str], option: str
) -> BagTopic:
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(topic.name for topic in found)
        raise InvalidInputError(
            f"{bag.path} has more than one {what}: choose one with {option}: {names}"
        )
    raise InvalidInputError(
        f"{bag.path} has no {what} ({' or '.join(types)}): {topics_in_words(bag)}"
    )


def _is_depth(name: str) -> bool:
    """Depth images have the type of pictures; by convention their names say what they are."""
    return any("depth" in part.lower() for part in name.split("/"))
