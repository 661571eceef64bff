# SPDX-License-Identifier: Apache-2.0
"""Recordings of other software: MCAP by mcap-ros2-support, rosbag2 databases by SQLite itself."""

from __future__ import annotations

import array
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mcap.writer import CompressionType
from mcap_ros2.writer import Writer
from rclpy.serialization import serialize_message
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from amodal_ros.ros.bag.definitions import installed_definition
from amodal_ros.ros.bag.frames import BagFrames, index_frames
from amodal_ros.ros.bag.reader import Bag
from amodal_ros.ros.bag.topics import box_topic, image_topic
from amodal_ros.ros.convert.box_plan import PromptBox, detections_message
from amodal_ros.ros.convert.images import rgb_to_image
from amodal_ros.ros.convert.stamps import ns_to_stamp

IMAGES, BOXES = "/camera/image_raw", "/detector/boxes"
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
LATE_NS = 30_000_000  # from a stamp to its recording
BOX = (20.0, 30.0, 80.0, 90.0)

# Topic, time of recording, message.
Entry = tuple[str, int, Any]


def stamp_ns(frame: int) -> int:
    return START_NS + frame * PERIOD_NS


def header(frame: int) -> Header:
    return Header(stamp=ns_to_stamp(stamp_ns(frame)), frame_id="camera")


def picture(frame: int) -> np.ndarray:
    """(120, 160, 3) uint8, another for each frame."""
    canvas = np.random.default_rng(3).integers(0, 80, (120, 160, 3), dtype=np.uint8)
    canvas[30:90, 20 + frame : 80 + frame] = (200, 90, 40)
    return canvas


def image(frame: int) -> Image:
    return rgb_to_image(picture(frame), header(frame))


def compressed(frame: int) -> CompressedImage:
    packed = cv2.imencode(".png", cv2.cvtColor(picture(frame), cv2.COLOR_RGB2BGR))[1]
    return CompressedImage(header=header(frame), format="png", data=packed.tobytes())


def boxes(frame: int) -> Detection2DArray:
    x0, y0, x1, y1 = BOX
    moved = PromptBox((x0 + frame, y0, x1 + frame, y1), "cup1", "cup", 0.9)
    return detections_message([moved], header(frame))


def entries(count: int, *, boxes_topic: str = BOXES) -> list[Entry]:
    """Images and boxes of so many frames, the boxes a little later."""
    found: list[Entry] = []
    for frame in range(count):
        found.append((IMAGES, stamp_ns(frame) + LATE_NS, image(frame)))
        if boxes_topic:
            found.append((boxes_topic, stamp_ns(frame) + 2 * LATE_NS, boxes(frame)))
    return found


def type_of(message: Any) -> str:
    package = type(message).__module__.split(".")[0]
    return f"{package}/msg/{type(message).__name__}"


def plain(message: Any) -> Any:
    """A message as nested dictionaries and lists, which other software takes."""
    if hasattr(message, "get_fields_and_field_types"):
        fields = message.get_fields_and_field_types()
        return {name: plain(getattr(message, name)) for name in fields}
    if isinstance(message, list):
        return [plain(entry) for entry in message]
    if isinstance(message, array.array):
        return message.tobytes() if message.typecode == "B" else message.tolist()
    return message.tolist() if hasattr(message, "tolist") else message


def write_mcap(
    path: Path,
    recorded: Iterable[Entry],
    *,
    compression: CompressionType = CompressionType.ZSTD,
    chunk_size: int = 100_000,
) -> Path:
    """By mcap-ros2-support, with rosbags' texts of the definitions where it knows the type."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=chunk_size, compression=compression)
        schemas: dict[str, Any] = {}
        for topic, log_ns, message in recorded:
            name = type_of(message)
            if name not in schemas:
                known = name in store.fielddefs
                text = (
                    store.generate_msgdef(name, ros_version=2)[0]
                    if known
                    else installed_definition(name)
                )
                schemas[name] = writer.register_msgdef(name, text)
            writer.write_message(topic, schemas[name], plain(message), log_ns, log_ns)
        writer.finish()
    return path


def write_sqlite(path: Path, recorded: Iterable[Entry]) -> Path:
    """As Humble's rosbag2: the database alone, without definitions and metadata."""
    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, "
            "serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);"
            "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, "
            "timestamp INTEGER NOT NULL, data BLOB NOT NULL);"
            "CREATE INDEX timestamp_idx ON messages (timestamp ASC);"
        )
        numbers: dict[str, int] = {}
        for topic, log_ns, message in recorded:
            if topic not in numbers:
                numbers[topic] = len(numbers) + 1
                database.execute(
                    "INSERT INTO topics VALUES (?, ?, ?, 'cdr', '')",
                    (numbers[topic], topic, type_of(message)),
                )
            database.execute(
                "INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)",
                (numbers[topic], log_ns, serialize_message(message)),
            )
    database.close()
    return path


def frames_of(bag: Bag, **options: int) -> BagFrames:
    """The frames of the only images with the only boxes."""
    return index_frames(bag, image_topic(bag), box_topic(bag), **options)
