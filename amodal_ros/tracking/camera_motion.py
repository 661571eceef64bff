# SPDX-License-Identifier: Apache-2.0
"""Which of the motions in the picture is the camera's, and what objects do beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.scene import SceneMotion
from amodal_ros.tracking.track import IDENTITY, Track

_FEWEST_POINTS = 4
_MANY_POINTS = 8
_AGREEING_PX = 2.0
_STEADY_FRAMES = 3
_FEWEST_KNOWN = 2
_FEWEST_STEADY = 6  # points that say: the camera goes on as before
_FADE_S = 2.0  # a motion of the camera that nothing confirms halves in this time
_NEAR_PX = 0.75  # of the thumbnail
_REST_PX = 0.5  # likewise: a camera that moves less in a frame is at rest
_MOST = 0.6  # share of the points by which a camera that goes on is sure to,
_MANY, _FAR_MORE = 0.4, 1.5  # or one at rest, where no other motion has two thirds as many points
_JUMP = 0.05  # of the picture's longer side
_ALONG = 0.5  # least share of the points found that a camera which jumps takes along,
_FOUND = 0.1  # and of those looked for
_DRAWN = 0.05  # of a motion: what turns or comes closer does not move all alike
_INERTIA = 0.25  # how much a change of the camera's motion weighs against those of objects'


def choose_camera(
    tracks: Sequence[Track], scene: SceneMotion, passed_s: float, expected: np.ndarray | None
) -> np.ndarray:
    """Which of the motions in the picture is the camera's: (2, 3).

    It is told by the points on the background, and on known objects less their own motions. Of
    the motions that many of these share it is the one beside which known objects move on as they
    did; where less than two known objects are seen, the one most like the camera's last: an
    occluder that nobody detects must not be taken for the camera, and what it leaves of the
    background are few points, so few that go on as before count too. A camera that jumps takes
    most points along; an object that shows up has only those on itself, the others are lost
    behind it. Where nothing tells, the camera goes on. Where most points say that it goes on, the
    objects are not asked: hands may move several of them at once, alike.

    Args:
        tracks: as of the last answered frame.
        scene: what happened since then.
        passed_s: seconds since then.
        expected: (2, 3), what the camera should have done since then; None: not known.
    """
    if expected is None:
        return scene.shared[0] if scene.shared else IDENTITY
    evidence = _evidence(tracks, scene, passed_s)
    places = _places(tracks, evidence)
    going_on = _going_on(evidence, expected)
    if going_on is not None and _surely_goes_on(evidence, places, going_on, expected):
        return going_on  # mostly: what else moves is not looked for
    candidates = [*([] if going_on is None else [going_on]), *evidence.shared]
    candidates = [one for one in candidates if _is_likely(evidence, places, one, expected)]
    if len(candidates) == 1:
        return candidates[0]
    for one in candidates:
        if _surely_goes_on(evidence, places, one, expected):
            return one
    surprises = [_changes(tracks, scene, passed_s, camera) for camera in candidates]
    if candidates and min(map(len, surprises)) >= _FEWEST_KNOWN:
        costs = [
            float(np.median(np.linalg.norm(one, axis=1)))
            + _INERTIA * _apart(places, camera, expected) / passed_s
            for one, camera in zip(surprises, candidates, strict=True)
        ]
        return candidates[int(np.argmin(costs))]
    if not candidates:
        return IDENTITY + 0.5 ** (passed_s / _FADE_S) * (expected - IDENTITY)
    return min(candidates, key=lambda one: _apart(places, one, expected))


def own_motion(
    seen: CroppedMask | None, scene: SceneMotion, camera: np.ndarray
) -> np.ndarray | None:
    """(2,) pixels beside the camera's motion, from the points on its visible part; None: too few.

    The mean of the most that agree, at least a third: the others lie on something else. Where less
    agree it deforms, and the median of many points tells.
    """
    if seen is None:
        return None
    known, key = scene.own, (seen, camera.tobytes())
    if key not in known:
        known[key] = _own_motion(scene.beside(camera)[scene.on(seen)])
    return known[key]


def _own_motion(residuals: np.ndarray) -> np.ndarray | None:
    """That of points (n, 2), by how each moved beside the camera."""
    if len(residuals) < _FEWEST_POINTS:
        return None
    shifts = residuals.view(complex)[:, 0]  # numpy has one call for the lengths of these
    near = np.abs(shifts[:, None] - shifts) <= _AGREEING_PX + _DRAWN * np.abs(shifts)[:, None]
    counts = near.sum(axis=1)
    most = int(counts.argmax())
    if counts[most] < max(_FEWEST_POINTS, len(residuals) / 3):
        many = len(residuals) >= _MANY_POINTS
        return np.median(residuals, axis=0) if many else None
    return np.asarray(residuals[near[most]].sum(axis=0) / counts[most])


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """(...,) of vectors (..., 2); `np.linalg.norm` takes longer for a few."""
    return np.asarray(np.sqrt(vectors[..., 0] ** 2 + vectors[..., 1] ** 2))


def _changes(
    tracks: Sequence[Track], scene: SceneMotion, passed_s: float, camera: np.ndarray
) -> np.ndarray:
    """(K, 2) pixels per second: how the own velocities of known, visible objects change."""
    if passed_s <= 0:
        return np.zeros((0, 2))
    steady = [track for track in tracks if track.measured >= _STEADY_FRAMES]
    owns = [own_motion(track.seen, scene, camera) for track in steady]
    changes = [
        own / passed_s - track.velocity
        for own, track in zip(owns, steady, strict=True)
        if own is not None
    ]
    return np.array(changes, np.float64).reshape(-1, 2)


def _evidence(tracks: Sequence[Track], scene: SceneMotion, passed_s: float) -> SceneMotion:
    """The points that tell of the camera: without objects that are new, and their own motions."""
    new = np.zeros(len(scene.before_xy), bool)
    own = np.zeros_like(scene.before_xy)
    for track in tracks:
        if track.seen is None:
            continue
        on_it = scene.on(track.seen)
        if track.measured >= _STEADY_FRAMES:
            own[on_it] = track.velocity * passed_s
        else:
            new[on_it] = True
    return replace(scene, after_xy=scene.after_xy - own).part(~new)


def _places(tracks: Sequence[Track], scene: SceneMotion) -> np.ndarray:
    """(P, 2) where the camera's motion counts: the middles of the objects, and of the points."""
    middles = [_middle(one.shape, one.pose) for one in tracks if one.shape is not None]
    return np.array([*middles, scene.middle] if len(scene.before_xy) else middles).reshape(-1, 2)


def _middle(shape: CroppedMask, motion: np.ndarray) -> tuple[float, float]:
    """The middle of a mask's box after a motion (2, 3); in plain numbers, as `move_box`."""
    (x0, y0, x1, y1), ((a, b, right), (c, d, down)) = shape.box_xyxy, motion.tolist()
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return x * a + y * b + right, x * c + y * d + down


def _surely_goes_on(
    scene: SceneMotion, places: np.ndarray, motion: np.ndarray, expected: np.ndarray
) -> bool:
    """Whether a motion is the camera's expected one, and most points follow it.

    Of a camera at rest many are enough, if far less follow any other motion: arms that reach into
    the picture move apart. One that moves may well go on otherwise.
    """
    near_px, rest_px = _NEAR_PX * scene.pixel, _REST_PX * scene.pixel
    if _apart(places, motion, expected) > near_px:
        return False
    near = _near(scene, motion)
    following, count = np.count_nonzero(near), len(scene.before_xy)
    if following >= _MOST * count:
        return True
    if following < _MANY * count or _apart(places, expected, IDENTITY) > rest_px:
        return False
    others = [one for one in scene.shared if _apart(places, one, motion) > near_px]
    # A turn fits many points of a picture at rest: those that follow both tell nothing.
    theirs = [np.count_nonzero(_near(scene, one) & ~near) for one in others]
    return bool(following >= _FAR_MORE * max(theirs, default=0))


def _going_on(scene: SceneMotion, expected: np.ndarray) -> np.ndarray | None:
    """The camera's expected motion (2, 3), shifted to the points that follow it; None: too few."""
    near = _near(scene, expected)
    if np.count_nonzero(near) < _FEWEST_STEADY:
        return None
    motion = expected.copy()
    motion[:, 2] += scene.beside(expected)[near].mean(axis=0)
    return motion


def _apart(places: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """By how many pixels two motions differ at the places (P, 2), at most."""
    difference = one - other
    return float(_lengths(places @ difference[:, :2].T + difference[:, 2]).max(initial=0.0))


def _is_likely(
    scene: SceneMotion, places: np.ndarray, motion: np.ndarray, expected: np.ndarray
) -> bool:
    """Whether a camera may have moved so: not much unlike before, or with most points."""
    if _apart(places, motion, expected) <= _JUMP * scene.side_px:
        return True
    most = max(_ALONG * len(scene.before_xy), _FOUND * scene.looked_for)
    return _following(scene, motion) >= most


def _near(scene: SceneMotion, motion: np.ndarray) -> np.ndarray:
    """(K,) bool: which points move so."""
    return np.asarray(_lengths(scene.beside(motion)) <= _NEAR_PX * scene.pixel)


def _following(scene: SceneMotion, motion: np.ndarray) -> int:
    """How many points move so."""
    return int(np.count_nonzero(_near(scene, motion)))
