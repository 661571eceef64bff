# SPDX-License-Identifier: Apache-2.0
"""Recordings of other software, whole and damaged, and the frames in them."""

from __future__ import annotations

import sqlite3

import pytest
from mcap.writer import CompressionType, Writer
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import Writer as RosbagsWriter
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode, StoragePlugin
from std_msgs.msg import Header

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.box_messages import boxes_decoder
from amodal_ros.ros.bag.definitions import installed_definition
from amodal_ros.ros.bag.frames import index_frames
from amodal_ros.ros.bag.reader import Bag, is_bag
from amodal_ros.ros.bag.storage import BagTopic
from amodal_ros.ros.bag.topics import box_topic, image_topic
from amodal_ros.ros.node.frame_pipeline import message_to_rgb
from tests.ros.bag.bag_rig import (
    BOXES,
    IMAGES,
    LATE_NS,
    boxes,
    compressed,
    entries,
    image,
    picture,
    plain,
    stamp_ns,
    write_mcap,
    write_sqlite,
)


def frames_of(bag, **options):
    return index_frames(bag, image_topic(bag), box_topic(bag), **options)


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


def test_late_boxes_early_boxes_and_images_out_of_order(tmp_path):
    recorded = [(BOXES, stamp_ns(0), boxes(1))]
    for place, frame in enumerate((0, 2, 1, 3, 3)):
        recorded.append((IMAGES, stamp_ns(place), image(frame)))
    recorded += [(BOXES, stamp_ns(90), boxes(2)), (BOXES, stamp_ns(91), boxes(50))]
    with Bag(write_mcap(tmp_path / "a.mcap", recorded)) as bag:
        frames = frames_of(bag)
        found = list(frames)
    assert [frame.stamp_ns for frame in found] == [stamp_ns(frame) for frame in range(4)]
    assert [frame.boxes is None for frame in found] == [True, False, False, True]
    assert [frame.log_ns for frame in found] == [stamp_ns(place) for place in (0, 2, 1, 3)]
    counts = frames.counts
    assert (counts.repeated, counts.without_boxes, counts.unused_boxes) == (1, 2, 1)
    assert "2 images without boxes of their own" in frames.findings()


def test_time_that_starts_again_is_another_run(tmp_path):
    recorded = [(IMAGES, stamp_ns(place), image(place % 20)) for place in range(40)]
    with Bag(write_mcap(tmp_path / "a.mcap", [*recorded, (BOXES, 0, boxes(0))])) as bag:
        frames = frames_of(bag)
        assert [frame.stamp_ns for frame in frames] == [stamp_ns(p % 20) for p in range(40)]
    assert frames.counts.time_jumps == 1


def test_boxes_of_another_clock_are_refused_and_slop_allows_some(tmp_path):
    recorded = [(IMAGES, stamp_ns(frame), image(frame)) for frame in range(3)]
    for frame in range(3):
        message = boxes(frame)
        message.header.stamp.nanosec += 12_000_000
        recorded.append((BOXES, stamp_ns(frame), message))
    path = write_mcap(tmp_path / "a.mcap", recorded)
    with Bag(path) as bag:
        with pytest.raises(InvalidInputError, match=r"nearest two are 0\.012 s apart; --slop"):
            frames_of(bag)
        assert all(frame.boxes for frame in frames_of(bag, slop_ns=12_000_000))


def test_images_without_a_stamp_are_given_the_time_of_their_recording(tmp_path):
    recorded = [(IMAGES, stamp_ns(frame), image(frame)) for frame in range(2)]
    for _, _, message in recorded:
        message.header.stamp.sec = message.header.stamp.nanosec = 0
    with Bag(write_mcap(tmp_path / "a.mcap", recorded)) as bag:
        found = list(index_frames(bag, image_topic(bag), None))
    assert [frame.stamp_ns for frame in found] == [stamp_ns(0), stamp_ns(1)]


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


def test_a_message_that_cannot_be_read_is_told_of(tmp_path):
    path = write_sqlite(tmp_path / "a.db3", entries(3))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE messages SET data = substr(data, 1, 40) WHERE id = 3")
    with Bag(path) as bag:
        frames = frames_of(bag)
        assert [frame.number for frame in frames] == [0, 2]
    assert frames.unreadable[0].startswith("frame 1: ")


OLD_BOXES = """std_msgs/Header header
vision_msgs/Detection2D[] detections
{rule}
MSG: vision_msgs/Detection2D
std_msgs/Header header
vision_msgs/ObjectHypothesisWithPose[] results
vision_msgs/BoundingBox2D bbox
bool is_tracking
string tracking_id
{rule}
MSG: vision_msgs/ObjectHypothesisWithPose
string id
float64 score
{rule}
MSG: vision_msgs/BoundingBox2D
geometry_msgs/Pose2D center
float64 size_x
float64 size_y
{rule}
MSG: geometry_msgs/Pose2D
float64 x
float64 y
float64 theta
{rule}
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
""".replace("{rule}", "=" * 80)

YOLO_BOXES = """std_msgs/Header header
yolo_msgs/Detection[] detections
{rule}
MSG: yolo_msgs/Detection
int32 class_id
string class_name
float64 score
string id
yolo_msgs/BoundingBox2D bbox
{rule}
MSG: yolo_msgs/BoundingBox2D
yolo_msgs/Pose2D center
yolo_msgs/Vector2 size
{rule}
MSG: yolo_msgs/Pose2D
yolo_msgs/Point2D position
float64 theta
{rule}
MSG: yolo_msgs/Point2D
float64 x
float64 y
{rule}
MSG: yolo_msgs/Vector2
float64 x
float64 y
{rule}
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
""".replace("{rule}", "=" * 80)


@pytest.mark.parametrize(
    ("kind", "definition"),
    [
        ("vision_msgs/msg/Detection2DArray", OLD_BOXES),
        ("yolo_msgs/msg/DetectionArray", YOLO_BOXES),
    ],
)
def test_boxes_are_read_by_the_recordings_own_definition(kind, definition):
    """Of a vision_msgs before 4.0, and of yolo_msgs, which need not be installed."""
    from mcap_ros2._dynamic import serialize_dynamic

    (expected,) = boxes(0).detections
    box, head = expected.bbox, plain(boxes(0).header)
    centre = {"x": box.center.position.x, "y": box.center.position.y}
    if kind.startswith("yolo"):
        entry = {"class_id": 3, "class_name": "cup", "score": 0.9, "id": "cup1"}
        entry["bbox"] = {
            "center": {"position": centre, "theta": 0.0},
            "size": {"x": box.size_x, "y": box.size_y},
        }
    else:
        entry = {"header": head, "results": [{"id": "cup", "score": 0.9}], "is_tracking": True}
        entry["tracking_id"] = "cup1"
        entry["bbox"] = {"center": {**centre, "theta": 0.0}}
        entry["bbox"] |= {"size_x": box.size_x, "size_y": box.size_y}
    encode = serialize_dynamic(kind, definition)[kind]
    data = encode({"header": head, "detections": [entry]})
    decode = boxes_decoder(BagTopic("/boxes", kind, 1, definition, "ros2msg"))
    assert decode(data) == boxes(0)
    with pytest.raises(InvalidInputError, match=r"a message on /boxes .* cannot be read"):
        decode(data[:30])


def test_a_type_that_nobody_knows_is_refused():
    topic = BagTopic("/boxes", "yolo_msgs/msg/DetectionArray", 1)
    with pytest.raises(InvalidInputError, match="neither installed nor defined in the recording"):
        boxes_decoder(topic)
