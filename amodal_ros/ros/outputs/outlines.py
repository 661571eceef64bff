# SPDX-License-Identifier: Apache-2.0
"""Outlines of whole objects as a ``visualization_msgs/ImageMarker``, for Foxglove's image panel.

One marker holds all objects of an image, with a colour for each line. With one for each object a
viewer would keep the last.
"""

from __future__ import annotations

from collections.abc import Sequence

from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import ImageMarker

from amodal_ros.image.cropped import outlines
from amodal_ros.ros.outputs.overlay import object_colour
from amodal_ros.tracking.tracker import TrackedObject

_WIDTH_PX = 2.0
_SEEN_OPACITY = 0.4
_TOLERANCE_PX = 1.0  # a tenth of the points


def outline_marker(objects: Sequence[TrackedObject], header: Header) -> ImageMarker:
    """The amodal outline of each object in its colour, and thinly that of what is seen.

    Args:
        objects: of one image.
        header: the source image's.

    Returns:
        A ``LINE_LIST``: ``points`` has two for each line, in pixels; ``outline_colors`` has one
        colour for each line.
    """
    points: list[Point] = []
    colours: list[ColorRGBA] = []
    for one in objects:
        red, green, blue = (value / 255 for value in object_colour(one.track_id))
        for mask, opacity in ((one.amodal, 1.0), (one.visible, _SEEN_OPACITY)):
            colour = ColorRGBA(r=red, g=green, b=blue, a=opacity)
            for outline in outlines(mask, _TOLERANCE_PX):
                corners = [Point(x=x, y=y) for x, y in outline.tolist()]
                for begin, end in zip(corners, corners[1:] + corners[:1], strict=True):
                    points += (begin, end)
                    colours.append(colour)
    return ImageMarker(
        header=header,
        ns="amodal",
        type=ImageMarker.LINE_LIST,
        scale=_WIDTH_PX,
        points=points,
        outline_colors=colours,
    )
