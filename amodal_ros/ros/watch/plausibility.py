# SPDX-License-Identifier: Apache-2.0
"""Input that can be read and is probably wrong: what it shows, why, and what to do.

Plain functions of numbers; each returns a text that says what came and what to do, or None.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from amodal_ros.image.boxes import box_iou

# A box within the first pixel of an image is a box of parts of it.
_NORMALISED_LIMIT = 1.5
_TINY_IMAGE_PX = 8
# Sides of the square inputs of usual detectors, in pixels.
_DETECTOR_SIDES: tuple[int, ...] = (
    *(224, 256, 300, 320, 384, 416, 448, 480, 512, 608, 640, 736, 768, 800, 960),
    *(1024, 1280, 1536),
)
# Boxes that all lie in so much of the image may do so by chance.
_LARGEST_FRAME = 0.6
_FRAME_MESSAGES = 10
_FRAME_BOXES = 3
_SAME_BOX_IOU = 0.5
_AHEAD_S = 5.0
_DARK, _BRIGHT = 16, 250
_EXPOSURE_STRIDE = 16
_NEAREST_M, _FARTHEST_M = 0.03, 100.0
_FARTHEST_MM = 12.0  # of integer depth in units not said: sensors that send it end at 10 m
_WIDEST, _NARROWEST = 0.1, 30.0  # focal lengths, relative to the image's longer side


def normalised_boxes(boxes: np.ndarray, image_hw: tuple[int, int]) -> str | None:
    """Boxes (N, 4) of 0..1 that should be pixels."""
    if not is_normalised(boxes, image_hw):
        return None
    return (
        f"all boxes lie in the first pixel of the {image_hw[1]}x{image_hw[0]} image, as "
        f"{_numbers(boxes[0])}: they are parts of its width and height. Set "
        "box_units:=normalised, or let the detector send pixels"
    )


def normalised_request(
    boxes: np.ndarray, points: np.ndarray, image_hw: tuple[int, int] | None
) -> str | None:
    """Boxes (N, 4) or points (P, 2) of a service request that are 0..1 and should be pixels."""
    for name, numbers in (("boxes", boxes), ("points", points)):
        fractions = len(numbers) and (numbers != np.round(numbers)).any()
        if fractions and is_normalised(numbers, image_hw):
            return (
                f"all {name} lie in the image's first pixel, as {_numbers(numbers[0])}: they are "
                "parts of its width and height; expected pixels"
            )
    return None


def is_normalised(numbers: np.ndarray, image_hw: tuple[int, int] | None) -> bool:
    """Whether coordinates (N, any) lie in the first pixel of an image that is not tiny."""
    if not len(numbers) or (image_hw is not None and min(image_hw) < _TINY_IMAGE_PX):
        return False
    return bool(np.abs(numbers).max() <= _NORMALISED_LIMIT)


class SmallerFrame:
    """Notices boxes that are measured in pixels of a detector's input, smaller than the image.

    Over all messages they never leave a frame of a usual size in the upper left corner, though
    several different boxes came. A scene may look so too: its user can say that pixels are right.
    """

    def __init__(self) -> None:
        self._start((0, 0))

    def _start(self, image_hw: tuple[int, int]) -> None:
        self._image_hw = image_hw
        self._messages = 0
        self._reach = 0.0
        self._different = np.zeros((0, 4))

    def see(self, boxes: np.ndarray, image_hw: tuple[int, int]) -> str | None:
        """Take the boxes (N, 4) of one message."""
        if image_hw != self._image_hw:
            self._start(image_hw)
        if not len(boxes):
            return None
        self._messages += 1
        self._reach = max(self._reach, float(boxes.max()))
        for box in boxes:
            if len(self._different) < _FRAME_BOXES and not self._known(box):
                self._different = np.concatenate([self._different, box[None]])
        if self._messages < _FRAME_MESSAGES or len(self._different) < _FRAME_BOXES:
            return None
        side = self._side()
        if side is None:
            return None
        height, width = image_hw
        return (
            f"all boxes of {self._messages} messages lie in the upper left {side}x{side} of the "
            f"{width}x{height} image, as {_numbers(self._different[0])}: perhaps they are pixels "
            f"of the detector's input. Set box_units to its size (letterbox_{side}x{side} or "
            f"stretch_{side}x{side}, if that is it), let the detector scale them back, or set "
            "box_units:=pixels if they are right"
        )

    def _known(self, box: np.ndarray) -> bool:
        ious = box_iou(box[None].astype(np.float32), self._different.astype(np.float32))
        return bool((ious >= _SAME_BOX_IOU).any())

    def _side(self) -> int | None:
        """The smallest usual side that all boxes fit in, if it excludes enough of the image."""
        height, width = self._image_hw
        for side in _DETECTOR_SIDES:
            if self._reach <= side + 1:
                part = min(side, width) * min(side, height) / (width * height)
                return side if part <= _LARGEST_FRAME else None
        return None


def scores_in_percent(scores: Sequence[float]) -> bool:
    """Whether the scores of one message are 0..100: at least half of them are above 1."""
    finite = [score for score in scores if math.isfinite(score)]
    above = sum(score > 1.001 for score in finite)
    return above > 0 and 2 * above >= len(finite) and min(finite) >= 0.0 and max(finite) <= 100.0


def repeated_id(ids: Sequence[str], classes: Sequence[str]) -> str | None:
    """Ids that repeat within one message, which identities cannot."""
    name, times = max(Counter(filter(None, ids)).items(), key=lambda e: e[1], default=("", 0))
    if times < 2:
        return None
    cause = "the detector probably writes the class there"
    if name in classes:
        cause = "it is the class of a box, which the detector writes there too"
    return (
        f"{times} boxes of one message have the id {name!r}: {cause}. All boxes count, and ids "
        "are not taken for identities. Leave Detection2D.id empty, or let a tracker fill it"
    )


def other_frame(what: str, frame_id: str, image_frame_id: str) -> str | None:
    """A message that belongs to another camera than the image; an empty frame says nothing."""
    if not frame_id or not image_frame_id or frame_id.lstrip("/") == image_frame_id.lstrip("/"):
        return None
    return (
        f"{what} have the frame {frame_id!r}, their image {image_frame_id!r}: are they of another "
        "camera? Name the right topics, or let their node copy the image's header"
    )


def ahead(stamp_s: float, now_s: float, simulated: bool) -> str | None:
    """Stamps that lie in the future, or a clock that does not run, in seconds.

    Args:
        stamp_s: of an image.
        now_s: the node's time; 0: simulated time that nobody has told yet.
        simulated: whether that is simulated.
    """
    if simulated and now_s == 0.0:
        return (
            "use_sim_time is set, and images come, but no /clock: play the bag with --clock, or "
            "set use_sim_time:=false"
        )
    ahead_s = stamp_s - now_s
    if ahead_s < _AHEAD_S:
        return None
    clock = "/clock, as use_sim_time is set" if simulated else "the system's clock"
    return (
        f"image stamps are {_duration(ahead_s)} ahead of this node's time ({clock}): set the "
        "camera's clock (NTP, PTP), or use_sim_time as the camera has it. Until then the "
        "latencies told mean nothing"
    )


def exposure(rgb: np.ndarray, encoding: str, bits: int) -> str | None:
    """A picture (H, W, 3) uint8 that is nearly black or nearly white.

    Args:
        rgb: the picture; some of its pixels are looked at.
        encoding: of its message.
        bits: of each sample, as the parameter ``image_bits`` says.
    """
    some = rgb[::_EXPOSURE_STRIDE, ::_EXPOSURE_STRIDE]
    darkest, brightest = np.percentile(some, (1, 99))
    if brightest > _DARK and darkest < _BRIGHT:
        return None
    state = "black" if brightest <= _DARK else "white"
    text = f"images are nearly {state}: is the lens covered, is the exposure right?"
    if "16" in encoding:
        text += (
            f" Samples of {encoding} are read as {bits} bits: if they hold 10 or 12, set "
            "image_bits:=10 or 12; if these are depth images, image_topic names the wrong topic"
        )
    return text


def depth_units(depth_m: np.ndarray, encoding: str, scale: float = 0.0) -> str | None:
    """Depth (H, W) in metres, NaN where unknown, whose median no camera measures.

    Args:
        depth_m: the depth; some of its pixels are looked at.
        encoding: of its message.
        scale: metres of one unit, as the parameter ``depth_scale`` says; 0: it does not.
    """
    some = depth_m[::4, ::4]
    known = some[np.isfinite(some)]
    if not len(known):
        return None
    median = float(np.median(known))
    integers = encoding != "32FC1"
    if _NEAREST_M <= median <= (_FARTHEST_MM if integers and not scale else _FARTHEST_M):
        return None
    unit = "millimetres" if integers else "metres"
    read_as = f"units of {scale:g} m" if scale else unit
    return (
        f"the median depth is {median:.3g} m: {encoding} is read as {read_as}. Set depth_scale "
        "to the metres of one unit (1.0, 0.001, 0.0001), also if that is right, or let the "
        f"driver send {unit} (REP 118)"
    )


def intrinsics(fx: float, fy: float, cx: float, cy: float, hw: tuple[int, int]) -> str | None:
    """Intrinsics in pixels that no camera of an image of that height and width has."""
    height, width = hw
    side = max(hw)
    focal = all(_WIDEST * side <= f <= _NARROWEST * side for f in (fx, fy))
    centre = -width <= cx <= 2 * width and -height <= cy <= 2 * height
    if focal and centre:
        return None
    return (
        f"camera_info has fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g} for {width}x{height} pixels: "
        "the camera is not calibrated, or these are not pixels. Calibrate it, or name its "
        "camera_info_topic"
    )


def _numbers(box: np.ndarray) -> str:
    return f"({', '.join(f'{value:.4g}' for value in box)})"


def _duration(seconds: float) -> str:
    days = seconds / 86400
    return f"{days:.1f} days" if days >= 1 else f"{seconds:.1f} s"
