# SPDX-License-Identifier: Apache-2.0
"""Which part of a mask, or all of it, shows another thing than the object."""

from __future__ import annotations

import math
from collections.abc import Sequence

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.appearance import Likeness
from amodal_ros.tracking.forecast import Forecast
from amodal_ros.tracking.track import or_none

_SAME = 0.5  # share of a mask that lies in that of another thing
_NEAR = 0.08  # of the square root of its area: so far an object may grow or deform in a frame
_MUCH = 0.1  # share of a mask: a part that is new and smaller is the object's
_CREPT = 0.05  # likewise, that is new since the object was surely seen
_AS_LIKE = 0.3  # of the margin of the rest: less have parts that were added, up to that share
_AS_LIKE_IF_MUCH = 0.6  # likewise, of more than that
_LEAST_S = 1e-3  # between two frames


def joined_thing(
    one: Forecast,
    visible: CroppedMask,
    likeness: Likeness,
    others: Sequence[CroppedMask] = (),
) -> CroppedMask | None:
    """The part of a mask that shows another thing.

    Of an object that was not seen a frame before it is what is unlike the object, where that is
    the smaller part. Of one that was, it is much, and was not visible of it then, or when it was
    surely seen some time ago: a hand may come over it in one frame, or creep in over many. It is
    unlike the object (be it where a hidden part was believed). Or it was added to the shape of an
    object that was seen whole, and is less like it than the rest. Or it lies beyond where it
    may be now, and another object is expected there. None: there is none.

    Args:
        one: of the object.
        visible: the mask, of this frame.
        likeness: of the frame to the object.
        others: what should be visible of other objects.
    """
    if visible.is_empty:
        return None
    if one.track.missed or one.visible is None:
        unlike = _much(likeness.unlike(visible, visible), _MUCH * visible.area)
        return unlike if 0 < unlike.area <= _SAME * visible.area else None
    foreign = unlike_beyond(visible, one.visible, likeness, _MUCH)
    if one.sure is not None:
        foreign = foreign | unlike_beyond(visible, one.sure, likeness, _CREPT)
    if one.whole is not None:
        foreign = foreign | _grown_on(one, visible - foreign, likeness)
    place = one.visible if one.amodal is None else one.visible | one.amodal
    new = _much(_beyond(visible, place, _MUCH) - foreign, _MUCH * visible.area)
    if not new.is_empty and any(new.share_in(other) >= _SAME for other in others):
        foreign = foreign | new
    return or_none(foreign)


def _grown_on(one: Forecast, visible: CroppedMask, likeness: Likeness) -> CroppedMask:
    """What was added to an object that was seen whole, and is less like it; empty: nothing."""
    added = _much(one.added(visible), _CREPT * visible.area)
    if added.is_empty:
        return added
    as_like = _AS_LIKE_IF_MUCH if added.area >= _MUCH * visible.area else _AS_LIKE
    is_less = likeness.mean_margin(added) < as_like * likeness.mean_margin(visible - added)
    return added if is_less else added.empty(added.image_hw)


def is_rather(
    one: Forecast,
    visible: CroppedMask,
    likeness: Likeness,
    others: Sequence[Forecast],
    stamp_s: float,
) -> bool:
    """Whether a mask that may show a lost object rather shows another lost one, which is like it.

    Of two things alike it is the one that must have moved less fast to be there, otherwise than
    was expected of it.

    Args:
        one: of the object.
        visible: the mask, not empty.
        likeness: of the frame to the object.
        others: of other objects.
        stamp_s: time of the frame.
    """
    lost = [other for other in others if other.visible is None]
    speed = _speed_to(one, visible, stamp_s)
    return any(
        _speed_to(other, visible, stamp_s) < speed
        and other.track.memory is not None
        and Likeness(likeness.surroundings, other.track.memory).shows(visible, lost=True)
        for other in lost
    )


def _speed_to(one: Forecast, mask: CroppedMask, stamp_s: float) -> float:
    """Pixels a second beside its forecast by which an object that is not seen came to a mask."""
    if one.amodal is None or one.amodal.is_empty:
        return math.inf
    (x0, y0, x1, y1), (left, top, right, bottom) = one.amodal.box_xyxy, mask.box_xyxy
    away = math.hypot(x0 + x1 - left - right, y0 + y1 - top - bottom) / 2
    return away / max(stamp_s - one.track.trusted_s, _LEAST_S)


def _much(part: CroppedMask, least: float) -> CroppedMask:
    """A part of so many pixels at least; else an empty mask."""
    return part if part.area >= least else part.empty(part.image_hw)


def unlike_beyond(
    visible: CroppedMask, own: CroppedMask, likeness: Likeness, share: float
) -> CroppedMask:
    """What of a mask lies beyond an object's place and is unlike it; empty where that is little.

    Args:
        visible: the mask.
        own: the place.
        likeness: of the frame to the object.
        share: of the mask, that it is at least.
    """
    unlike = likeness.unlike(_beyond(visible, own, share), visible)
    return _much(unlike, share * visible.area)


def _beyond(visible: CroppedMask, own: CroppedMask, share: float) -> CroppedMask:
    """What of a mask lies beyond an object's place; empty where that is less than a share of it.

    Mostly so little lies outside that nobody has to know where the place, grown, ends.
    """
    least, outside = share * visible.area, visible - own
    if outside.area >= least:
        outside = visible - own.dilated(_NEAR * math.sqrt(own.area))
    return _much(outside, least)
