# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording hold images, boxes and masks; and boxes as messages of today."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.definitions import Decoder, decoder_of
from amodal_ros.ros.bag.reader import Bag
from amodal_ros.ros.bag.storage import BagTopic
from amodal_ros.ros.convert.stamps import ns_to_stamp, stamp_to_ns
from amodal_ros.ros.convert.yolo import boxes_from_yolo

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
        return named_topic(bag, name, IMAGE_TYPES, "--image-topic")
    found = [topic for topic in _of_types(bag, IMAGE_TYPES) if not is_depth(topic.name)]
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
        return named_topic(bag, name, BOX_TYPES, "--detections-topic")
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
        return named_topic(bag, name, (MASKS,), "--masks-topic")
    found = [topic for topic in bag.topics if topic.type == MASKS and topic.count]
    return _only(bag, found, "topic of masks", (MASKS,), "--masks-topic")


def named_topic(bag: Bag, name: str, types: Sequence[str], option: str) -> BagTopic:
    """The topic of a name, which `option` gave.

    Raises:
        InvalidInputError: there is none, or it is of none of the types.
    """
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


def is_depth(name: str) -> bool:
    """Depth images have the type of pictures; by convention their names say what they are."""
    return any("depth" in part.lower() for part in name.split("/"))


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


def boxes_decoder(topic: BagTopic) -> Decoder:
    """What makes a `Detection2DArray` of a message's bytes.

    Raises:
        InvalidInputError: here, if the type cannot be read; when called, if a message cannot.
    """
    decode = decoder_of(topic)

    def boxes(data: bytes) -> Detection2DArray:
        try:
            message = decode(data)
            if isinstance(message, Detection2DArray):
                return message
            message.header = real_header(message.header)
            if topic.type == YOLO_BOXES:
                return boxes_from_yolo(message)
            return _from_other_version(message)
        except Exception as error:  # damaged bytes, or fields that no known version has
            raise InvalidInputError(
                f"a message on {topic.name} ({topic.type}) cannot be read: {error}"
            ) from error

    return boxes


def inner_stamp_ns(boxes: Detection2DArray) -> int:
    """The one stamp of the boxes themselves, for a message without one; else 0."""
    stamps = {stamp_to_ns(detection.header.stamp) for detection in boxes.detections}
    return stamps.pop() if len(stamps) == 1 else 0


def real_header(header: Any) -> Header:
    """An installed `Header` with the content of any object that has its fields."""
    return Header(stamp=ns_to_stamp(stamp_to_ns(header.stamp)), frame_id=header.frame_id)


def _from_other_version(message: Any) -> Detection2DArray:
    """vision_msgs before 4.0: the centre is a `Pose2D`, hypotheses are flat."""
    converted = Detection2DArray(header=message.header)
    for entry in message.detections:
        detection = Detection2D(
            header=real_header(entry.header),
            id=str(getattr(entry, "id", getattr(entry, "tracking_id", ""))),
        )
        centre = getattr(entry.bbox.center, "position", entry.bbox.center)
        detection.bbox.center.position.x = float(centre.x)
        detection.bbox.center.position.y = float(centre.y)
        detection.bbox.center.theta = float(entry.bbox.center.theta)
        detection.bbox.size_x = float(entry.bbox.size_x)
        detection.bbox.size_y = float(entry.bbox.size_y)
        for result in entry.results:
            given = getattr(result, "hypothesis", result)
            hypothesis = ObjectHypothesisWithPose()
            hypothesis.hypothesis.class_id = str(
                getattr(given, "class_id", getattr(given, "id", ""))
            )
            hypothesis.hypothesis.score = float(given.score)
            detection.results.append(hypothesis)
        converted.detections.append(detection)
    return converted
