# SPDX-License-Identifier: Apache-2.0
"""Label images, read by code that knows sensor_msgs and vision_msgs alone."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.ros.convert.labels import ClassNumbers, label_messages, track_labels
from amodal_ros.tracking.tracker import TrackedObject

HW = (30, 41)
HEADER = Header(frame_id="camera")


def seen(track_id: int, class_id: str = "", x0: int = 0, x1: int = 0) -> TrackedObject:
    mask = np.zeros(HW, bool)
    mask[5:20, x0:x1] = True
    cropped = CroppedMask.of(mask)
    return TrackedObject(track_id, class_id, "", 1.0, 1.0, False, cropped, cropped)


def decoded(messages: tuple[Image, LabelInfo]) -> dict[str, np.ndarray]:
    """Which pixels have which name; the largest value of the type has none."""
    image, info = (
        deserialize_message(serialize_message(message), type(message)) for message in messages
    )
    assert image.header == info.header == HEADER
    kind = {"mono8": np.dtype(np.uint8), "16UC1": np.dtype(np.uint16)}[image.encoding]
    kind = kind.newbyteorder(">" if image.is_bigendian else "<")
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)
    labels = rows[:, : image.width * kind.itemsize].view(kind)
    assert labels.shape == (image.height, image.width)
    names = {entry.class_id: entry.class_name for entry in info.class_map}
    assert set(np.unique(labels).tolist()) <= {*names, np.iinfo(kind).max}
    return {name: labels == label for label, name in names.items()}


def test_the_track_of_each_pixel() -> None:
    objects = [seen(0, "mug", 0, 10), seen(7, "", 10, 20), seen(300, "tea box", 30, 41)]
    messages = label_messages(objects, HEADER, HW)
    assert messages[0].encoding == "16UC1"
    found = decoded(messages)
    assert list(found) == ["0 mug", "7", "300 tea box"]
    for one, pixels in zip(objects, found.values(), strict=True):
        np.testing.assert_array_equal(pixels, one.visible_mask)
    np.testing.assert_array_equal(
        np.frombuffer(messages[0].data, np.uint16).reshape(HW)[10, [0, 15, 25, 35]],
        [0, 7, 65535, 300],
    )


def test_no_object_at_all() -> None:
    messages = label_messages([], HEADER, HW)
    assert decoded(messages) == {}
    assert set(messages[0].data) == {255}


@pytest.mark.parametrize(
    ("ids", "labels"),
    [
        ([0, 65534], [0, 65534]),
        ([65535, 70000], [0, 4465]),
        ([65535, 0, 2 * 65535], [65534, 0, 65533]),
        ([-1, -1, 65534], [65533, 65532, 65534]),
        ([2**31 - 1], [32767]),
    ],
)
def test_ids_that_do_not_fit(ids: list[int], labels: list[int]) -> None:
    assert track_labels([seen(one) for one in ids]) == labels


def test_the_name_has_the_whole_id() -> None:
    assert list(decoded(label_messages([seen(70000, "mug", 0, 9)], HEADER, HW))) == ["70000 mug"]


def test_classes_keep_their_numbers() -> None:
    numbers = ClassNumbers()
    first = [seen(0, "mug", 0, 10), seen(1, "box", 10, 20), seen(2, "mug", 30, 41)]
    messages = numbers.messages(first, HEADER, HW)
    assert messages[0].encoding == "mono8"
    found = decoded(messages)
    np.testing.assert_array_equal(found["mug"], first[0].visible_mask | first[2].visible_mask)
    np.testing.assert_array_equal(found["box"], first[1].visible_mask)
    found = decoded(numbers.messages([seen(9, "", 3, 5), seen(1, "box", 10, 20)], HEADER, HW))
    assert list(found) == ["mug", "box", ""]
    np.testing.assert_array_equal(found["box"], first[1].visible_mask)
    assert found[""].sum() == 30
    assert not found["mug"].any()


def test_more_classes_than_a_byte_holds() -> None:
    numbers = ClassNumbers()
    for number in range(255):
        messages = numbers.messages([seen(0, f"class {number}", 0, 10)], HEADER, HW)
    assert messages[0].encoding == "mono8"
    assert decoded(messages)["class 254"].any()
    messages = numbers.messages([seen(0, "one more", 0, 10)], HEADER, HW)
    assert messages[0].encoding == "16UC1"
    assert decoded(messages)["one more"].sum() == 150
