# SPDX-License-Identifier: Apache-2.0
"""What is remembered of an object, and where it should be in the next frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from amodal_ros.association import TrackCandidate
from amodal_ros.boxes import box_faults
from amodal_ros.masks import mask_box
from amodal_ros.tracking_motion import SceneMotion
from amodal_ros.tracking_shape import IDENTITY, Silhouette, compose, move_boxes, move_points
from amodal_ros.types import PointPrompt

_FEWEST_POINTS = 4
_SMOOTHING = 0.5  # share of the newest measurement in an object's own velocity
_AGREEING_PX = 2.0
_STEADY_FRAMES = 3
_FADE_S = 4.0  # a motion that nothing confirms halves in this time; parallax is part of it


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
        pose: (2, 3), how that mask moved since.
        seen: its visible mask in the last frame; None: nothing was visible.
        velocity: (2,) float64, pixels per second, beside the camera's motion.
        measured: in how many frames its velocity was measured.
        restart: its mask drifted: the next M_spec is the box.
        pinned: given by a user.
        given: pinned, and not answered yet: the user's box stands for a detection.
        points: the user's, a prompt while `given`; None: only a box was given.
    """

    track_id: int
    class_id: str
    identity: str
    score: float
    last_seen_s: float
    trusted_s: float
    detected_box: np.ndarray
    shape: Silhouette | None = None
    pose: np.ndarray = field(default_factory=IDENTITY.copy)
    seen: Silhouette | None = None
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    measured: int = 0
    restart: bool = False
    pinned: bool = False
    given: bool = False
    points: PointPrompt | None = None

    def confirm(self, amodal_mask: np.ndarray, stamp_s: float) -> None:
        """Takes over a mask (H, W) bool, not empty, of the present frame."""
        self.shape, self.pose, self.trusted_s = Silhouette.of(amodal_mask), IDENTITY, stamp_s


@dataclass(frozen=True, eq=False)
class Forecast:
    """Where a track should be in a frame.

    Attributes:
        track: whose.
        step: (2, 3), its motion since the last frame.
        velocity: (2,) float64, its own, pixels per second.
        is_measured: that is new in this frame.
        amodal_mask: (H, W) bool, its last trusted mask, moved; None: there was none.
        visible_mask: (H, W) bool, what was visible of it, moved; None: nothing was.
        boxes_xyxy: (3, 4) float32: last detection, visible part, whole shape; zeros where unknown.
        has_left: nothing of it is in the image any more.
    """

    track: Track
    step: np.ndarray
    velocity: np.ndarray
    is_measured: bool
    amodal_mask: np.ndarray | None
    visible_mask: np.ndarray | None
    boxes_xyxy: np.ndarray
    has_left: bool

    @property
    def prompt_box(self) -> np.ndarray:
        """(4,) float32: where to look for it while no detection says."""
        return self.boxes_xyxy[0] if self.amodal_mask is None else self.boxes_xyxy[2]

    def advance(self) -> None:
        """Brings the track to the present frame."""
        self.track.pose = compose(self.step, self.track.pose)
        self.track.detected_box = move_boxes(self.track.detected_box, self.step)[0]
        self.track.velocity = self.velocity
        self.track.measured += self.is_measured

    def candidate(self) -> TrackCandidate:
        """What detections are compared with."""
        track = self.track
        return TrackCandidate(track.track_id, track.identity, self.boxes_xyxy, self.amodal_mask)


def choose_camera(
    tracks: Sequence[Track], scene: SceneMotion, passed_s: float, expected: np.ndarray | None
) -> np.ndarray:
    """Which of the motions that many points share is the camera's: (2, 3).

    The one beside which known objects move on as they did; else an object that passes close to
    the lens would be taken for it. Without known objects the one most like the camera's last.

    Args:
        tracks: as of the last answered frame.
        scene: what happened since then.
        passed_s: seconds since then.
        expected: (2, 3), the camera's last motion; None: not known.
    """
    if not scene.shared:
        return IDENTITY
    surprises = [_changes(tracks, scene, passed_s, camera) for camera in scene.shared]
    if min(map(len, surprises)) > 1:
        costs = [float(np.median(np.linalg.norm(one, axis=1))) for one in surprises]
        return scene.shared[int(np.argmin(costs))]
    if expected is None:
        return scene.shared[0]
    middle = scene.before_xy.mean(axis=0, keepdims=True)
    there = move_points(middle, expected)
    apart = [float(np.linalg.norm(move_points(middle, one) - there)) for one in scene.shared]
    return scene.shared[int(np.argmin(apart))]


def common_change(
    tracks: Sequence[Track], scene: SceneMotion, passed_s: float, camera: np.ndarray
) -> np.ndarray:
    """By how much the own velocities of what is visible changed together: (2,) pixels per second.

    Objects do not turn at once all alike: where they seem to, the camera's motion was misjudged
    for the place they are at, and hidden objects must be corrected by as much. The median over
    the objects that had been measured before; zero for less than two.
    """
    changes = _changes(tracks, scene, passed_s, camera)
    return np.median(changes, axis=0) if len(changes) > 1 else np.zeros(2)


def _changes(
    tracks: Sequence[Track], scene: SceneMotion, passed_s: float, camera: np.ndarray
) -> np.ndarray:
    """(K, 2) pixels per second: how the own velocities of known, visible objects change."""
    if passed_s <= 0:
        return np.zeros((0, 2))
    steady = [track for track in tracks if track.measured >= _STEADY_FRAMES]
    owns = [_own_motion(track.seen, scene, camera) for track in steady]
    changes = [
        own / passed_s - track.velocity
        for own, track in zip(owns, steady, strict=True)
        if own is not None
    ]
    return np.array(changes, np.float64).reshape(-1, 2)


def forecast(
    track: Track,
    scene: SceneMotion,
    camera: np.ndarray,
    passed_s: float,
    image_hw: tuple[int, int],
    change: np.ndarray,
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
        change: (2,) pixels per second, see `common_change`.
    """
    middle = _middle(track)
    own = _own_motion(track.seen, scene, camera)
    is_measured = own is not None
    if own is None:
        own = (track.velocity + change) * passed_s
        fade = 0.5 ** (passed_s / _FADE_S)
        velocity = (track.velocity + _SMOOTHING * change) * fade
    elif passed_s > 0:
        velocity = (1 - _SMOOTHING) * track.velocity + _SMOOTHING * own / passed_s
    else:
        velocity = track.velocity
    linear = camera[:, :2]
    target = move_points(middle[None], camera)[0] + own
    step = np.concatenate([linear, (target - linear @ middle)[:, None]], axis=1)
    amodal = (
        None if track.shape is None else track.shape.moved(compose(step, track.pose), image_hw)
    )
    visible = None if track.seen is None else track.seen.moved(step, image_hw)
    boxes = np.concatenate(
        [move_boxes(track.detected_box, step), _mask_box(visible), _mask_box(amodal)]
    )
    boxes = boxes.astype(np.float32)
    place = boxes[0 if amodal is None else 2]
    has_left = box_faults(place[None], image_hw)[0] is not None
    return Forecast(
        *(track, step, velocity, is_measured, amodal, visible, boxes, has_left),
    )


def _middle(track: Track) -> np.ndarray:
    """(2,) middle of the object in the last answered frame."""
    box = track.detected_box
    if track.shape is not None:
        box = move_boxes(track.shape.box_xyxy, track.pose)[0]
    return (box[:2] + box[2:]) / 2


def _own_motion(
    seen: Silhouette | None, scene: SceneMotion, camera: np.ndarray
) -> np.ndarray | None:
    """(2,) pixels beside the camera's motion, from the points on its visible part; None: too few.

    The mean of the most that agree, at least a third: the others lie on something else.
    """
    if seen is None:
        return None
    on_it = seen.contains(scene.before_xy)
    if np.count_nonzero(on_it) < _FEWEST_POINTS:
        return None
    before, after = scene.before_xy[on_it], scene.after_xy[on_it]
    residuals = after - move_points(before, camera)
    apart = np.linalg.norm(residuals[:, None] - residuals[None], axis=2)
    agree = apart[np.argmax((apart <= _AGREEING_PX).sum(axis=1))] <= _AGREEING_PX
    if np.count_nonzero(agree) < max(_FEWEST_POINTS, len(residuals) / 3):
        return None
    return residuals[agree].mean(axis=0)


def _mask_box(mask: np.ndarray | None) -> np.ndarray:
    """Box (1, 4) of a mask; zeros for none."""
    return np.array([(0, 0, 0, 0) if mask is None else mask_box(mask)], np.float64)
