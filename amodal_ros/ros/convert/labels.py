# SPDX-License-Identifier: Apache-2.0
"""Label images: one number per pixel, whose meaning a ``vision_msgs/LabelInfo`` says.

As vision_msgs wants it, the largest number of the type (65535, 255) means that no object is seen.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from amodal_ros.ros.convert.images import blank_image
from amodal_ros.tracking.tracker import TrackedObject

_LABELS = 65535  # of 16 bits; the largest one is no label
_BYTES = 255  # likewise of 8 bits


def track_labels(objects: Sequence[TrackedObject]) -> list[int]:
    """The label of each object: its track id, as far as that fits.

    A track id above 65534 is taken modulo 65535; where that label is taken in this image already,
    and for an object without a track, it is the next free one, downwards from 65534. So within an
    image no two objects have the same label, whatever the ids are.
    """
    labels = [one.track_id if 0 <= one.track_id < _LABELS else -1 for one in objects]
    taken = set(labels)
    for row, one in enumerate(objects):
        if labels[row] >= 0:
            continue
        label = one.track_id % _LABELS if one.track_id >= 0 else _LABELS - 1
        while label in taken:
            label = (label - 1) % _LABELS
        labels[row] = label
        taken.add(label)
    return labels


def label_messages(
    objects: Sequence[TrackedObject], header: Header, image_hw: tuple[int, int]
) -> tuple[Image, LabelInfo]:
    """What is seen of each track.

    Args:
        objects: of one image; no two see the same pixel.
        header: the source image's.
        image_hw: its height and width.

    Returns:
        An image of 16UC1, 65535 where no object is seen; and of each label its track id and, after
        a space, its class where that is known.
    """
    labels = track_labels(objects)
    names = {
        label: f"{one.track_id} {one.class_id}".rstrip()
        for label, one in zip(labels, objects, strict=True)
    }
    return _painted(objects, labels, "16UC1", header, image_hw), _info(names, header)


class ClassNumbers:
    """Numbers of classes, in the order in which they came; they stay while this lives."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def messages(
        self, objects: Sequence[TrackedObject], header: Header, image_hw: tuple[int, int]
    ) -> tuple[Image, LabelInfo]:
        """The class of what is seen.

        Args:
            objects: of one image; no two see the same pixel.
            header: the source image's.
            image_hw: its height and width.

        Returns:
            An image of mono8, 255 where no object is seen, or from the 256th class on of 16UC1,
            65535 likewise; and the name of each class so far, empty where a detector gives none.
        """
        numbers = [
            self._numbers.setdefault(one.class_id, len(self._numbers) % _LABELS) for one in objects
        ]
        encoding = "mono8" if len(self._numbers) <= _BYTES else "16UC1"
        names = {number: name for name, number in self._numbers.items()}
        image = _painted(objects, numbers, encoding, header, image_hw)
        return image, _info(names, header)


def _painted(
    objects: Sequence[TrackedObject],
    labels: Sequence[int],
    encoding: str,
    header: Header,
    image_hw: tuple[int, int],
) -> Image:
    kind = np.dtype(np.uint8 if encoding == "mono8" else np.uint16)
    message, memory = blank_image((image_hw[0], image_hw[1] * kind.itemsize), encoding, header)
    message.width, message.is_bigendian = image_hw[1], sys.byteorder == "big"
    pixels = memory.view(kind)
    pixels.fill(np.iinfo(kind).max)
    for one, label in zip(objects, labels, strict=True):
        x0, y0, x1, y1 = one.visible_box_xyxy
        np.copyto(pixels[y0:y1, x0:x1], kind.type(label), where=one.visible.crop)
    return message


def _info(names: dict[int, str], header: Header) -> LabelInfo:
    classes = [VisionClass(class_id=label, class_name=names[label]) for label in sorted(names)]
    return LabelInfo(header=header, class_map=classes)
