# SPDX-License-Identifier: Apache-2.0
"""Recordings of other software, whole and damaged, and the frames in them."""

from __future__ import annotations

import numpy as np
import pytest
from mcap.writer import CompressionType, Writer
from rclpy.serialization import serialize_message
from rosbags.interfaces import Nodetype
from rosbags.rosbag2 import Writer as RosbagsWriter
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from std_msgs.msg import Header

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.definitions import installed_definition
from amodal_ros.ros.bag.reader import Bag, is_bag
from amodal_ros.ros.bag.topics import box_topic, image_topic
from amodal_ros.ros.convert.compressed import message_to_rgb
from tests.ros.bag.bag_rig import (
    BOXES,
    IMAGES,
    LATE_NS,
    boxes,
    compressed,
    entries,
    frames_of,
    image,
    picture,
    plain,
    stamp_ns,
    write_mcap,
    write_sqlite,
)
from tests.ros.bag.test_box_messages import YOLO, YOLO_BOXES, yolo_boxes


def write_folder(path, plugin, compression=CompressionMode.NONE):
    """A folder of rosbag2 with its metadata, as rosbags writes it."""
    writer = RosbagsWriter(path, version=9, storage_plugin=plugin)
    if compression is not CompressionMode.NONE:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, log_ns, message in entries(3):
            if topic not in connections:
                kind = f"{type(message).__module__.split('.')[0]}/msg/{type(message).__name__}"
                connections[topic] = writer.add_connection(
                    topic, kind, msgdef=installed_definition(kind), rihs01="RIHS01_0"
                )
            writer.write(connections[topic], log_ns, serialize_message(message))
    return path


FOLDERS = {
    "folder": (StoragePlugin.SQLITE3, CompressionMode.NONE),
    "folder of MCAP": (StoragePlugin.MCAP, CompressionMode.STORAGE),
    "compressed messages": (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    "compressed files": (StoragePlugin.SQLITE3, CompressionMode.FILE),
}


@pytest.mark.parametrize("kind", ["zstd", "lz4", "none", "sqlite", *FOLDERS, "split"])
def test_every_image_meets_its_boxes(tmp_path, kind):
    path = tmp_path / "recording.mcap"
    if kind == "sqlite":
        path = write_sqlite(tmp_path / "recording.db3", entries(3))
    elif kind in FOLDERS:
        path = write_folder(tmp_path / "folder", *FOLDERS[kind])
    elif kind == "split":  # a recorder that was killed leaves no metadata
        path = tmp_path / "split"
        path.mkdir()
        all_entries = entries(3)
        write_mcap(path / "split_10.mcap", all_entries[4:])
        write_mcap(path / "split_2.mcap", all_entries[:4])
    else:
        write_mcap(path, entries(3), compression=CompressionType[kind.upper()])
    assert is_bag(path)
    with Bag(path) as bag:
        assert [(topic.name, topic.count) for topic in bag.topics] == [(IMAGES, 3), (BOXES, 3)]
        frames = frames_of(bag)
        found = list(frames)
        assert bag.damage == ""
    assert len(frames) == 3
    assert [frame.stamp_ns for frame in found] == [stamp_ns(frame) for frame in range(3)]
    assert [frame.log_ns for frame in found] == [stamp_ns(f) + LATE_NS for f in range(3)]
    for number, frame in enumerate(found):
        assert (message_to_rgb(frame.image) == picture(number)).all()
        assert frame.boxes == boxes(number)


def test_a_writer_that_knows_little_of_ros_is_read(tmp_path):
    """No profile, short names, a topic of another encoding, an empty definition."""
    with (tmp_path / "a.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start()
        for topic, log_ns, message in entries(2):
            name = f"{type(message).__module__.split('.')[0]}/{type(message).__name__}"
            schema = writer.register_schema(name, "ros2msg", b"")
            channel = writer.register_channel(topic, "cdr", schema)
            writer.add_message(channel, log_ns, serialize_message(message), log_ns)
        schema = writer.register_schema("sensor_msgs/msg/Image", "jsonschema", b"{}")
        channel = writer.register_channel("/json", "json", schema)
        writer.add_message(channel, stamp_ns(0), b"{}", stamp_ns(0))
        writer.finish()
    with Bag(tmp_path / "a.mcap") as bag:
        assert bag.damage == ""
        assert [frame.boxes for frame in frames_of(bag)] == [boxes(0), boxes(1)]


def as_type_of(store, name, values):
    """A message of rosbags' own types with the content of nested dictionaries and lists."""
    found = {}
    for field, (kind, of) in store.fielddefs[name][1]:
        value = values[field]
        if kind == Nodetype.NAME:
            value = as_type_of(store, of, value)
        elif isinstance(value, bytes):
            value = np.frombuffer(value, np.uint8)
        elif isinstance(value, list):
            value = [as_type_of(store, of[0][1], entry) for entry in value]
        found[field] = value
    return store.types[name](**found)


@pytest.mark.parametrize("little_endian", [True, False])
def test_either_end_may_come_first(tmp_path, little_endian):
    """Serialised by rosbags itself, which writes both; below a namespace, with yolo_msgs."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(
        {
            name: fields
            for name, fields in get_types_from_msg(YOLO_BOXES, YOLO).items()
            if name not in store.fielddefs
        }
    )
    topics = {"/robot1/front/image_raw": "sensor_msgs/msg/Image", "/robot1/boxes": YOLO}
    with RosbagsWriter(tmp_path / "folder", version=9) as writer:
        for (topic, kind), contents in zip(
            topics.items(), ([image(0), image(1)], [yolo_boxes(0), yolo_boxes(1)]), strict=True
        ):
            connection = writer.add_connection(topic, kind, typestore=store)
            for frame, content in enumerate(contents):
                given = as_type_of(store, kind, plain(content))
                data = store.serialize_cdr(given, kind, little_endian=little_endian)
                writer.write(connection, stamp_ns(frame) + LATE_NS, data)
    with Bag(tmp_path / "folder") as bag:
        found = list(frames_of(bag))
    for number, frame in enumerate(found):
        assert frame.stamp_ns == stamp_ns(number)
        assert (message_to_rgb(frame.image) == picture(number)).all()
        assert frame.boxes == boxes(number)
    assert len(found) == 2


def test_compressed_images_are_found(tmp_path):
    recorded = [
        (f"{IMAGES}/compressed", stamp_ns(0), compressed(0)),
        (BOXES, stamp_ns(0), boxes(0)),
    ]
    with Bag(write_mcap(tmp_path / "a.mcap", recorded)) as bag:
        (frame,) = frames_of(bag)
    assert (message_to_rgb(frame.image) == picture(0)).all()


def test_topics_are_found_or_must_be_chosen(tmp_path):
    both = [*entries(1), ("/other/image", stamp_ns(0), image(0))]
    ours = [
        *both,
        ("/camera/depth/image_raw", stamp_ns(0), image(0)),
        ("/amodal/overlay", stamp_ns(0), image(0)),
        ("/amodal/detections", stamp_ns(0), boxes(0)),
        (f"{IMAGES}/compressed", stamp_ns(0), compressed(0)),
    ]
    with Bag(write_mcap(tmp_path / "a.mcap", ours)) as bag:
        with pytest.raises(InvalidInputError, match=f"--image-topic: {IMAGES}, /other/image$"):
            image_topic(bag)
        assert image_topic(bag, "other/image").name == "/other/image"
        assert box_topic(bag).name == BOXES
        with pytest.raises(InvalidInputError, match=r"no topic /nothing: it holds .*/other/image"):
            image_topic(bag, "/nothing")
        with pytest.raises(InvalidInputError, match=r"is of type vision_msgs.*, expected sensor_"):
            image_topic(bag, BOXES)
    only_header = [("/head", stamp_ns(0), Header(frame_id="a"))]
    with (
        Bag(write_mcap(tmp_path / "b.mcap", only_header)) as bag,
        pytest.raises(InvalidInputError, match=r"no image topic .*: it holds /head \(std_msgs"),
    ):
        image_topic(bag)


@pytest.mark.parametrize("kind", ["cut", "chunk", "database"])
def test_what_is_whole_of_a_damaged_recording_is_read(tmp_path, kind):
    if kind == "database":
        path = write_sqlite(tmp_path / "a.db3", entries(20))
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    else:
        path = write_mcap(tmp_path / "a.mcap", entries(6))
        data = bytearray(path.read_bytes())
        if kind == "cut":
            data = data[: len(data) * 2 // 3]
        else:
            data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
    with Bag(path) as bag:
        frames = frames_of(bag)
        found = list(frames)
        assert bag.damage
        assert bag.path.name in frames.findings()[0]
    assert 2 <= len(found) == len(frames) < 20
    stamps = [frame.stamp_ns for frame in found]
    assert stamps == sorted(set(stamps))


@pytest.mark.parametrize("content", [b"", b"junk", b"\x89MCAP0\r\n" + bytes(40)])
def test_a_file_that_is_no_recording_is_one_line(tmp_path, content):
    (tmp_path / "a.mcap").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"^nothing can be read of recording .*a\.mcap: ."):
        Bag(tmp_path / "a.mcap")
    with pytest.raises(InvalidInputError, match="does not exist"):
        Bag(tmp_path / "b.mcap")
    (tmp_path / "c.txt").touch()
    with pytest.raises(InvalidInputError, match=r"no recording: expected .*\.mcap or \.db3"):
        Bag(tmp_path / "c.txt")
