# SPDX-License-Identifier: Apache-2.0
"""The marker of outlines, as Foxglove's image panel takes it."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from visualization_msgs.msg import ImageMarker

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.ros.outputs.label_outputs import outline_marker
from amodal_ros.ros.outputs.overlay import object_colour
from amodal_ros.tracking.tracker import TrackedObject

HW = (30, 40)


def test_lines_in_the_tracks_colours() -> None:
    whole, seen = np.zeros(HW, bool), np.zeros(HW, bool)
    whole[5:20, 5:25] = seen[5:20, 5:15] = True
    masks = CroppedMask.of(seen), CroppedMask.of(whole)
    hidden = CroppedMask.empty(HW), CroppedMask.of(whole)
    header = Header(frame_id="camera")
    objects = [
        TrackedObject(3, "", "", 1.0, 1.0, False, *masks),
        TrackedObject(50, "", "", 1.0, 1.0, True, *hidden),
    ]
    marker = outline_marker(objects, header)
    marker = deserialize_message(serialize_message(marker), ImageMarker)
    assert (marker.header, marker.type) == (header, ImageMarker.LINE_LIST)
    assert len(marker.points) == 2 * len(marker.outline_colors) == 2 * 3 * 4
    first = {(point.x, point.y) for point in marker.points[:8]}
    assert first == {(5.5, 5.5), (24.5, 5.5), (24.5, 19.5), (5.5, 19.5)}
    colours = [tuple(round(255 * v) for v in (c.r, c.g, c.b)) for c in marker.outline_colors]
    assert colours == [object_colour(3)] * 8 + [object_colour(50)] * 4
    assert [colour.a for colour in marker.outline_colors] == pytest.approx(
        [1] * 4 + [0.4] * 4 + [1] * 4
    )


def test_no_object_at_all() -> None:
    assert len(outline_marker([], Header()).points) == 0
