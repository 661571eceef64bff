# SPDX-License-Identifier: Apache-2.0
"""What is remembered of an object from one frame to the next: its outline, its look, its motion.

A motion is an affine matrix (2, 3) float64 that takes a point of an earlier frame to this one,
both in original pixels, where pixel i covers [i, i + 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import ArrayLike

from amodal_ros.checks import check_array
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import check_boxes
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.inference.prompts import check_points_inside
from amodal_ros.object_memory import ObjectMemory
from amodal_ros.tracking.learning import PendingMemory
from amodal_ros.tracking.look_memory import Memory
from amodal_ros.tracking.staying import LatePixels
from amodal_ros.types import PointPrompt

if TYPE_CHECKING:
    from amodal_ros.tracking.place import NextPlace

IDENTITY = np.eye(2, 3)
_STILL_PX = 1e-3
_RIGID_PX = 0.25  # a motion that turns or scales a mask's box by less only shifts it
_HALF = 0.5
_SPREAD = 0.3  # of the square root of its area: how far an unseen object may go in a second


def move_mask(mask: CroppedMask, motion: np.ndarray) -> CroppedMask:
    """A mask after a motion, cut off at the image's border; it may be empty."""
    if mask.is_empty:
        return mask
    shift = _whole_shift(mask.box_xyxy, motion)
    if shift is not None:
        return mask.shifted(shift)
    x0, y0, x1, y1 = _pixels_around(mask.box_xyxy, motion, mask.image_hw)
    if x0 >= x1 or y0 >= y1:
        return mask.empty(mask.image_hw)
    # OpenCV's coordinates are 0 at the middle of the first pixel, and those of the crops.
    within = motion.copy()
    corner = np.array(mask.box_xyxy[:2]) + _HALF
    within[:, 2] += motion[:, :2] @ corner - (x0 + _HALF, y0 + _HALF)
    levels = cv2.warpAffine(mask.crop.view(np.uint8) * np.uint8(255), within, (x1 - x0, y1 - y0))
    return CroppedMask.at(mask.image_hw, (x0, y0), levels > 127)


def _whole_shift(box: tuple[int, int, int, int], motion: np.ndarray) -> tuple[int, int] | None:
    """The shift in whole pixels that a motion is for a box; None where it turns or scales it."""
    x0, y0, x1, y1 = box
    (a, b, right), (c, d, down) = motion.tolist()
    a, d, wide, high = a - 1, d - 1, (x1 - x0) / 2, (y1 - y0) / 2
    if max(abs(a) * wide + abs(b) * high, abs(c) * wide + abs(d) * high) > _RIGID_PX:
        return None
    x, y = x0 + wide, y0 + high
    return round(a * x + b * y + right), round(c * x + d * y + down)


def or_none(mask: CroppedMask) -> CroppedMask | None:
    """None for an empty mask."""
    return None if mask.is_empty else mask


def spread_px(mask: CroppedMask, unseen_s: float) -> float:
    """How far off an object of this whole mask may be after so long unseen: standard deviation."""
    return _SPREAD * math.sqrt(mask.area) * unseen_s


def move_points(points_xy: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Points (K, 2) after a motion, float64."""
    return np.asarray(points_xy, np.float64) @ motion[:, :2].T + motion[:, 2]


def move_box(box_xyxy: Iterable[float], motion: np.ndarray) -> np.ndarray:
    """An upright box (4,) float64: its middle moves, its size follows the change of scale.

    In plain numbers: numpy costs ten times as much for one box.
    """
    x0, y0, x1, y1 = map(float, box_xyxy)
    (a, b, right), (c, d, down) = motion.tolist()
    x, y, scale = (x0 + x1) / 2, (y0 + y1) / 2, math.sqrt(abs(a * d - b * c)) / 2
    x, y = x * a + y * b + right, x * c + y * d + down
    wide, high = (x1 - x0) * scale, (y1 - y0) * scale
    return np.array([x - wide, y - high, x + wide, y + high])


def compose(later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """The motion `earlier`, then `later`, as one; in plain numbers, as `move_box`."""
    (a, b, x), (c, d, y) = later.tolist()
    (e, f, u), (g, h, v) = earlier.tolist()
    return np.array(
        [
            (a * e + b * g, a * f + b * h, a * u + b * v + x),
            (c * e + d * g, c * f + d * h, c * u + d * v + y),
        ]
    )


def _pixels_around(
    box: tuple[int, int, int, int], motion: np.ndarray, image_hw: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The whole pixels of the image that a box may cover after a motion."""
    x0, y0, x1, y1 = box
    corners = move_points(np.array([(x0, y0), (x1, y0), (x0, y1), (x1, y1)]), motion)
    limits = np.array(image_hw[::-1])
    low = np.clip(np.floor(corners.min(axis=0) + _STILL_PX), 0, limits).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) - _STILL_PX), 0, limits).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


_STEADY_DETECTIONS = 3


@dataclass(frozen=True, eq=False)
class SureSight:
    """What was visible of an object when nothing spoke against its mask, some time ago.

    What creeps into a mask over many frames differs little from the last one, and much from this.

    Attributes:
        mask: what was visible then.
        is_whole: it was all of the object.
        stamp_s: when.
        pixels: under the mask; None: not known.
        motion: (2, 3), the object's since.
    """

    mask: CroppedMask
    is_whole: bool
    stamp_s: float
    pixels: LatePixels | None = None
    motion: np.ndarray = field(default_factory=IDENTITY.copy)

    @cached_property
    def mask_now(self) -> CroppedMask:
        """The mask, moved."""
        return move_mask(self.mask, self.motion)

    def moved(self, step: np.ndarray) -> SureSight:
        """The sight after a motion (2, 3) of the object."""
        motion = compose(step, self.motion)
        return SureSight(self.mask, self.is_whole, self.stamp_s, self.pixels, motion)


@dataclass
class Track:
    """One object, as of the last frame that was answered; original pixels.

    Attributes:
        track_id: its identity.
        class_id: see `TrackedObject`.
        identity: the detector's, under which it is found again; empty: none.
        score: of its last detection.
        last_seen_s: time of its last detection.
        trusted_s: when its mask was last confirmed: by a detection, or by what is visible of it.
        detected_box: (4,) float64, its last detection's, moved along since.
        shape: its last amodal mask that was trusted; None before there was one.
        evidence: how many pixels of it were visible when that mask was seen best; it halves.
        pose: (2, 3), how that mask moved since.
        seen: its visible mask in the last frame; None: nothing was visible.
        sure: when it was surely seen; None: never.
        memory: what it looks like; None: not known.
        place: where to look for it in the next frame while no detection says; None: where its
            mask should be.
        extent: (2,) float64, its width and height when it was seen at its largest; it fades.
        detections: in how many frames it was detected.
        missed: how many frames in a row nothing confirmed it.
        velocity: (2,) float64, pixels per second, beside the camera's motion.
        clear_velocity: (2,) float64, that when it was last seen as much as ever.
        covered: points on its mask may be the occluder's: more of it was covered in the last
            frame than before, or little of it is seen.
        measured: in how many frames its velocity was measured.
        restart: its mask drifted: the next M_spec is the box.
        pinned: given by a user.
        given: pinned, and not answered yet: the user's box stands for a detection.
        points: the user's, a prompt while `given`; None: only a box was given.
        model_memory: what the model remembers of it; None: nothing, or it has no memory.
    """

    track_id: int
    class_id: str
    identity: str
    score: float
    last_seen_s: float
    trusted_s: float
    detected_box: np.ndarray
    shape: CroppedMask | None = None
    evidence: float = 0.0
    pose: np.ndarray = field(default_factory=IDENTITY.copy)
    seen: CroppedMask | None = None
    sure: SureSight | None = None
    memory: Memory | PendingMemory | None = None
    place: NextPlace | None = None
    extent: np.ndarray = field(default_factory=lambda: np.zeros(2))
    detections: int = 0
    missed: int = 0
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    clear_velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    covered: bool = False
    measured: int = 0
    restart: bool = False
    pinned: bool = False
    given: bool = False
    points: PointPrompt | None = None
    model_memory: ObjectMemory | None = None

    @property
    def is_young(self) -> bool:
        """Whether it rests on few boxes, and may be another one's twin."""
        return self.detections < _STEADY_DETECTIONS and not self.pinned

    def confirm(self, amodal: CroppedMask, stamp_s: float) -> None:
        """Takes over a mask of the present frame."""
        self.shape, self.pose, self.trusted_s = or_none(amodal), IDENTITY, stamp_s


def given_track(
    box_xyxy: ArrayLike,
    amodal_mask: np.ndarray | None,
    points: PointPrompt | None,
    class_id: str,
    score: float,
    stamp_s: float,
    image_hw: tuple[int, int] | None,
) -> Track:
    """A pinned track without an identity yet; see `AmodalTracker.add_object`.

    Args:
        box_xyxy: (4,) pixels.
        amodal_mask: (H, W) bool; None: not known.
        points: on the object and off it; None: none.
        class_id: of the object.
        score: in [0, 1].
        stamp_s: time of the newest frame; -inf before the first.
        image_hw: its (height, width); None before the first.

    Raises:
        InvalidInputError: naming the argument, what came and what was expected.
    """
    box = check_boxes("box_xyxy", np.asarray(box_xyxy, np.float32).reshape(1, -1), image_hw)
    if not 0 <= score <= 1:
        raise InvalidInputError(f"score: expected a number in [0, 1], got {score}")
    if points is not None and image_hw is not None:
        check_points_inside("points", points, image_hw)
    shape = None
    if amodal_mask is not None:
        if image_hw is None:
            raise InvalidInputError("amodal_mask: expected none before the first frame")
        shape = or_none(
            CroppedMask.of(check_array("amodal_mask", amodal_mask, np.bool_, image_hw))
        )
        if shape is None:
            raise InvalidInputError("amodal_mask: expected at least one pixel, got none")
    return Track(
        *(-1, class_id, "", score, stamp_s, stamp_s),
        detected_box=box[0].astype(np.float64),
        shape=shape,
        seen=shape,
        pinned=True,
        given=True,
        points=points,
    )
