# SPDX-License-Identifier: Apache-2.0
"""Where an object should be in the next frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from amodal_ros.image.boxes import box_fault
from amodal_ros.image.cropped import BoxXyxy, CroppedMask
from amodal_ros.tracking.association import TrackCandidate
from amodal_ros.tracking.camera_motion import own_motion
from amodal_ros.tracking.growing import added_part
from amodal_ros.tracking.scene import SceneMotion, SceneView
from amodal_ros.tracking.staying import Staying
from amodal_ros.tracking.track import SureSight, Track, compose, move_box, move_mask, spread_px

if TYPE_CHECKING:
    from amodal_ros.tracking.place import NextPlace

SMOOTHING = 0.5  # share of the newest measurement in an object's own velocity
_FORGET_S = 4.0  # what was seen of an object counts half after so long
_FADE_S = 4.0  # a motion that nothing confirms halves in this time; parallax is part of it

_LARGE_PX = 8.0  # by so much M_spec is grown on half the pixels
_FURTHEST_SIDES = 3.0  # so many times its size an object goes on unseen, at most


@dataclass(frozen=True, eq=False)
class Forecast:
    """Where a track should be in a frame.

    Attributes:
        track: whose.
        step: (2, 3), its motion since the last frame.
        velocity: (2,) float64, its own, pixels per second.
        is_measured: that is new in this frame.
        amodal: its last trusted mask, moved; None: there was none.
        visible: what was visible of it, moved; None: nothing was.
        boxes_xyxy: (3, 4) float32: last detection, visible part, whole shape; zeros where unknown.
        evidence: see `Track`, faded.
        next_place: where to look for it while no detection says, moved; None: where its mask
            should be.
        passed_s: seconds since the last frame.
        image_hw: (height, width).
    """

    track: Track
    step: np.ndarray
    velocity: np.ndarray
    is_measured: bool
    amodal: CroppedMask | None
    visible: CroppedMask | None
    boxes_xyxy: np.ndarray
    evidence: float
    next_place: NextPlace | None
    passed_s: float
    image_hw: tuple[int, int]
    _added: dict[CroppedMask, CroppedMask] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def place(self) -> np.ndarray | None:
        """(4,) float32: where to look for it while no detection says; None: at its mask."""
        box = None if self.next_place is None else self.next_place.box
        if box is None or box_fault(box.tolist(), self.image_hw) is not None:
            return None
        return box.astype(np.float32)

    @cached_property
    def sure(self) -> CroppedMask | None:
        """What was visible of it when it was last surely seen, moved; None: it never was."""
        known = self._sure_sight
        return None if known is None else known.mask_now

    @cached_property
    def _sure_sight(self) -> SureSight | None:
        """When it was surely seen, with the motion up to this frame."""
        known = self.track.sure
        return None if known is None else known.moved(self.step)

    def staying(self, scene: SceneView | None) -> Staying | None:
        """Its pixels when it was last surely seen beside a frame's; None: one is not known."""
        known = self._sure_sight
        if scene is None or known is None or known.pixels is None:
            return None
        pixels = known.pixels.now
        return None if pixels is None else Staying(pixels, known.motion, scene, self.image_hw)

    @property
    def whole(self) -> CroppedMask | None:
        """`sure` where that showed all of the object; None where it did not."""
        known = self._sure_sight
        return self.sure if known is not None and known.is_whole else None

    def added(self, visible: CroppedMask) -> CroppedMask:
        """What of a mask was added to the whole object, see `added_part`; found once for each."""
        if self.whole is None:
            return visible.empty(visible.image_hw)
        if visible not in self._added:
            self._added[visible] = added_part(self.whole, visible)
        return self._added[visible]

    @property
    def has_left(self) -> bool:
        """Whether nothing of it is in the image any more."""
        last = self.boxes_xyxy[0 if self.amodal is None else 2]
        return box_fault(last.tolist(), self.image_hw) is not None and self.place is None

    @property
    def prompt_box(self) -> np.ndarray:
        """(4,) float32: where to look for it while no detection says."""
        if self.place is not None:
            return self.place
        return self.boxes_xyxy[0] if self.amodal is None else self.boxes_xyxy[2]

    def prior(self, box: np.ndarray, dilation: float) -> CroppedMask | None:
        """M_spec from the moved amodal mask; None, so the box, where they lie apart.

        Args:
            box: (4,) of the prompt.
            dilation: growth, relative to the square root of the area (paper 3.5: a coarse region).
        """
        if self.amodal is None:
            return None
        radius = dilation * math.sqrt(self.amodal.area)
        grown = self.amodal.dilated(radius, 1 if radius < _LARGE_PX else 2)
        x0, y0, x1, y1 = box.tolist()
        whole = (
            *(math.floor(max(x0, 0.0)), math.floor(max(y0, 0.0))),
            math.ceil(x1),
            math.ceil(y1),
        )
        return grown if grown.area_in(whole) else None

    def advance(self) -> None:
        """Brings the track to the present frame."""
        self.track.pose = compose(self.step, self.track.pose)
        self.track.detected_box = move_box(self.track.detected_box, self.step)
        self.track.velocity, self.track.sure = self.velocity, self._sure_sight
        self.track.measured += self.is_measured
        self.track.extent = self.track.extent * 0.5 ** (self.passed_s / _FORGET_S)

    def candidate(self, stamp_s: float) -> TrackCandidate:
        """What detections of a frame of this time are compared with."""
        track, whole = self.track, self.amodal
        reach_px = 0.0 if whole is None else spread_px(whole, stamp_s - track.trusted_s)
        return TrackCandidate(track.track_id, track.identity, self.boxes_xyxy, whole, reach_px)


def forecast(
    track: Track,
    scene: SceneMotion,
    camera: np.ndarray,
    passed_s: float,
    image_hw: tuple[int, int],
) -> Forecast:
    """Moves a track to the present frame.

    What is visible of an object says how it moves; a hidden one moves with the camera's motion
    and its own last one, which fades.

    Args:
        track: as of the last answered frame.
        scene: what happened since then.
        camera: (2, 3), see `choose_camera`.
        passed_s: seconds since then.
        image_hw: (height, width).
    """
    own = None if track.covered else own_motion(track.seen, scene, camera)
    is_measured = own is not None
    if own is None:
        fade_s = _fade_s(track)
        fade = 0.5 ** (passed_s / fade_s)
        lasting_s = (1 - fade) * fade_s / math.log(2)
        own = track.velocity * lasting_s
        velocity = track.velocity * fade
    elif passed_s > 0:
        velocity = (1 - SMOOTHING) * track.velocity + SMOOTHING * own / passed_s
    else:
        velocity = track.velocity
    step = camera.copy()
    step[:, 2] += own
    amodal = None if track.shape is None else move_mask(track.shape, compose(step, track.pose))
    visible = None if track.seen is None else move_mask(track.seen, step)
    detected = move_box(track.detected_box, step).tolist()
    boxes = np.array([detected, _mask_box(visible), _mask_box(amodal)], np.float32)
    return Forecast(
        *(track, step, velocity, is_measured, amodal, visible, boxes),
        evidence=track.evidence * 0.5 ** (passed_s / _FORGET_S),
        next_place=None if track.place is None else track.place.moved(step),
        passed_s=passed_s,
        image_hw=image_hw,
    )


def _fade_s(track: Track) -> float:
    """In how many seconds a motion that nothing confirms halves: a quick one was a jerk."""
    speed = float(np.linalg.norm(track.velocity))
    side = math.sqrt(track.shape.area) if track.shape is not None else math.inf
    return min(_FADE_S, math.log(2) * _FURTHEST_SIDES * side / max(speed, 1e-6))


def _mask_box(mask: CroppedMask | None) -> BoxXyxy:
    """Box of a mask; zeros for none."""
    return (0, 0, 0, 0) if mask is None else mask.box_xyxy
