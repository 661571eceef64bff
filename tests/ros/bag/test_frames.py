# SPDX-License-Identifier: Apache-2.0
"""Which images a recording gives, in which order, with which boxes."""

from __future__ import annotations

import sqlite3

import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.frames import index_frames
from amodal_ros.ros.bag.reader import Bag
from amodal_ros.ros.bag.topics import image_topic
from tests.ros.bag.bag_rig import (
    BOXES,
    IMAGES,
    boxes,
    entries,
    frames_of,
    image,
    stamp_ns,
    write_mcap,
    write_sqlite,
)


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


def test_a_message_that_cannot_be_read_is_told_of(tmp_path):
    path = write_sqlite(tmp_path / "a.db3", entries(3))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE messages SET data = substr(data, 1, 40) WHERE id = 3")
    with Bag(path) as bag:
        frames = frames_of(bag)
        assert [frame.number for frame in frames] == [0, 2]
    assert frames.unreadable[0].startswith("frame 1: ")


def test_boxes_too_short_for_a_stamp_are_told_of(tmp_path):
    path = write_sqlite(tmp_path / "a.db3", entries(2))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE messages SET data = substr(data, 1, 8) WHERE id = 2")
    with Bag(path) as bag:
        frames = frames_of(bag)
        assert [frame.boxes is None for frame in frames] == [True, False]
    assert frames.unreadable[0].startswith(f"a message on {BOXES} ")
