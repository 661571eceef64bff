# SPDX-License-Identifier: Apache-2.0
"""Messages with some fields spoilt, the same ones for the same seed."""

from __future__ import annotations

import array
import math
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from amodal_msgs.srv import AddObject, SegmentAmodal
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, ObjectHypothesisWithPose

from amodal_ros.ros.convert.images import SUPPORTED_ENCODINGS
from tests.ros.ros_rig import boxes_message

HEIGHT, WIDTH = 6, 8
SIZES = (0, 1, 2, 3, 7, HEIGHT, WIDTH, 24, 25, 1000, 2**16, 2**31, 2**32 - 1)
NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 5.0, 0.5, 1e-30, 1e30, -1e30, 1e308, math.nan, math.inf, -math.inf,
)  # fmt: skip
FLOATS = [number for number in NUMBERS if not abs(number) > 3e38 or math.isinf(number)]
OWNERS = (0, 1, 2, 3, 255, 256, 2**32 - 1)
TEXTS = ("", "rgb", "jpeg", "RGB8", "16UC1", "32FC1", "bayer", "\u00e9\u4e2d", "x" * 300)
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
_BYTES_OF_PIXEL = {"rgba8": 4, "bgra8": 4, "rgb8": 3, "bgr8": 3, "8UC3": 3, "mono16": 2}


def image(dice: random.Random) -> Image:
    """An image in any encoding, with up to three fields wrong."""
    encoding = dice.choice((*SUPPORTED_ENCODINGS, "16UC1", "32FC1"))
    two_bytes = {"yuv422", "uyvy", "yuv422_yuy2", "yuyv", "16UC1"}
    size = _BYTES_OF_PIXEL.get(encoding, 2 if encoding in two_bytes else 1)
    size = 4 if encoding == "32FC1" else size
    message = Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=WIDTH * size)
    message.data = _bytes(dice, HEIGHT * WIDTH * size)
    changes: Sequence[Callable[[], None]] = (
        lambda: setattr(message, "height", dice.choice(SIZES)),
        lambda: setattr(message, "width", dice.choice(SIZES)),
        lambda: setattr(message, "step", dice.choice(SIZES)),
        lambda: setattr(message, "encoding", dice.choice((*TEXTS, *SUPPORTED_ENCODINGS))),
        lambda: setattr(message, "data", _bytes(dice, dice.choice((0, 1, 47, 144, 145, 5000)))),
        lambda: setattr(message, "is_bigendian", dice.randrange(256)),
    )
    _spoil(dice, changes)
    return message


def compressed_image(dice: random.Random) -> CompressedImage:
    """A JPEG or PNG file with bytes cut off, changed, put in, or nothing of a file at all."""
    data = bytearray(_FILES[dice.randrange(len(_FILES))])

    def cut() -> None:
        del data[dice.randrange(len(data) + 1) :]

    def change() -> None:
        for _ in range(dice.randint(1, 8)):
            if data:
                data[dice.randrange(len(data))] = dice.randrange(256)

    def insert() -> None:
        place = dice.randrange(len(data) + 1)
        data[place:place] = _bytes(dice, dice.randint(1, 20)).tobytes()

    def claim() -> None:
        if len(data) > 24:
            # Sizes in between are believed, and cost the time to paint them.
            sizes = (0, 1, 7, 2**31, 2**32 - 1)
            data[16:24] = struct.pack(">II", dice.choice(sizes), dice.choice(sizes))

    def replace() -> None:
        data[:] = _bytes(dice, dice.randint(0, 200)).tobytes()

    _spoil(dice, (cut, change, insert, claim, replace))
    message = CompressedImage(format=dice.choice((*TEXTS, "jpeg", "png")))
    message.data = array.array("B", bytes(data))
    return message


def _any_number(dice: random.Random, target: object, name: str) -> Callable[[], None]:
    """What sets an attribute to some number, when it is called."""
    return lambda: setattr(target, name, dice.choice(NUMBERS))


def detections(dice: random.Random) -> Detection2DArray:
    """Boxes whose numbers, scores and ids are anything."""
    count = dice.choice((0, 1, 1, 2, 3, 30))
    message = boxes_message([(1.0, 1.0, 6.0, 5.0)] * count, Header())
    for detection in message.detections:
        box, position = detection.bbox, detection.bbox.center.position
        detection.id = dice.choice((*TEXTS, "1", "2"))
        for _ in range(dice.choice((0, 1, 1, 2, 4))):
            hypothesis = ObjectHypothesisWithPose()
            hypothesis.hypothesis.class_id = dice.choice(TEXTS)
            hypothesis.hypothesis.score = dice.choice(NUMBERS)
            detection.results.append(hypothesis)
        places = ((position, "x"), (position, "y"), (box.center, "theta"))
        sizes = ((box, "size_x"), (box, "size_y"))
        changes = [_any_number(dice, *place) for place in (*places, *sizes)]
        _spoil(dice, changes)
    return message


def camera_info(dice: random.Random) -> CameraInfo:
    """Intrinsics whose numbers are anything."""
    message = CameraInfo(height=HEIGHT, width=WIDTH)
    message.k = [10.0, 0.0, 4.0, 0.0, 10.0, 3.0, 0.0, 0.0, 1.0]
    changes: Sequence[Callable[[], None]] = (
        lambda: setattr(message, "height", dice.choice(SIZES)),
        lambda: setattr(message, "width", dice.choice(SIZES)),
        lambda: message.k.__setitem__(dice.randrange(9), dice.choice(NUMBERS)),
        lambda: message.p.__setitem__(dice.randrange(12), dice.choice(NUMBERS)),
        lambda: setattr(message, "binning_x", dice.choice(SIZES)),
        lambda: setattr(message.roi, "width", dice.choice(SIZES)),
        lambda: setattr(message, "d", [dice.choice(NUMBERS) for _ in range(dice.randrange(9))]),
    )
    _spoil(dice, changes)
    return message


def header(dice: random.Random) -> Header:
    """A header whose stamp and frame are anything that the wire carries."""
    seconds = dice.choice((0, 1, -1, 10**9, 2 * 10**9, 2**31 - 1, -(2**31)))
    nanoseconds = dice.choice((0, 1, 999_999_999, 10**9, 2**32 - 1))
    stamp = Time(sec=seconds, nanosec=nanoseconds)
    return Header(stamp=stamp, frame_id=dice.choice((*TEXTS, "/camera", "x" * 5000)))


def add_object_request(dice: random.Random) -> AddObject.Request:
    """A request whose lists have any length and any numbers."""
    request = AddObject.Request(class_id=dice.choice(TEXTS))
    request.box_xyxy = dice.choice(([1.0, 1.0, 6.0, 5.0], []))
    request.points_xy, request.point_labels = dice.choice((([2.0, 2.0], [1]), ([], [])))
    changes: Sequence[Callable[[], None]] = (
        lambda: setattr(request, "box_xyxy", _numbers(dice, FLOATS)),
        lambda: setattr(request, "points_xy", _numbers(dice, FLOATS)),
        lambda: setattr(request, "point_labels", _numbers(dice, range(256))),
    )
    _spoil(dice, changes)
    return request


def segment_request(dice: random.Random) -> SegmentAmodal.Request:
    """A request whose lists have any length and any numbers."""
    request = SegmentAmodal.Request()
    request.image = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
    request.image.data = array.array("B", PIXELS.tobytes())
    request.boxes_xyxy = [1.0, 1.0, 6.0, 5.0]
    request.points_xy, request.point_labels, request.point_owners = [2.0, 2.0], [1], [0]
    changes: Sequence[Callable[[], None]] = (
        lambda: setattr(request, "image", image(dice)),
        lambda: setattr(request, "boxes_xyxy", _numbers(dice, FLOATS)),
        lambda: setattr(request, "points_xy", _numbers(dice, FLOATS)),
        lambda: setattr(request, "point_labels", _numbers(dice, range(256))),
        lambda: setattr(request, "point_owners", _numbers(dice, OWNERS)),
    )
    _spoil(dice, changes)
    return request


def _numbers(dice: random.Random, choices: Sequence[Any]) -> list[Any]:
    return [dice.choice(choices) for _ in range(dice.choice((0, 1, 2, 3, 4, 8, 40)))]


def _spoil(dice: random.Random, changes: Sequence[Callable[[], None]]) -> None:
    for change in dice.choices(changes, k=dice.choice((0, 1, 1, 1, 2, 3))):
        change()


def _bytes(dice: random.Random, length: int) -> array.array:
    return array.array("B", dice.randbytes(length))


def _files() -> tuple[bytes, ...]:
    grey = cv2.cvtColor(PIXELS, cv2.COLOR_RGB2GRAY)
    pictures = (PIXELS, grey, grey.astype(np.uint16) * 257)
    png = [cv2.imencode(".png", picture)[1].tobytes() for picture in pictures]
    jpeg = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures[:2]]
    return (*png, *jpeg)


_FILES = _files()
