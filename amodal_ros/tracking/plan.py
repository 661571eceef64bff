# SPDX-License-Identifier: Apache-2.0
"""From detections and forecasts to what is asked of the predictor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal_ros.image.boxes import expand_boxes
from amodal_ros.tracking.association import own_ids
from amodal_ros.tracking.forecast import Forecast
from amodal_ros.tracking.scene import SceneMotion, SceneView
from amodal_ros.tracking.settings import TrackerConfig
from amodal_ros.tracking.support import Supported
from amodal_ros.tracking.track import Track, move_points
from amodal_ros.tracking.types import TrackPlan
from amodal_ros.types import PointPrompt

_PATIENCE = 2  # frames without a sight, after which the region that is looked at grows
_WIDER = 2.0


@dataclass(frozen=True, eq=False)
class FrameInfo:
    """What a plan says of its frame; see `TrackPlan`."""

    stamp_s: float
    image_hw: tuple[int, int]
    epoch: int
    reset: str
    scene: SceneView | None
    motion: SceneMotion
    camera: np.ndarray


def make_plan(
    frame: FrameInfo,
    supported: Supported,
    coasting: Sequence[Forecast],
    track_ids: Sequence[int],
    config: TrackerConfig,
) -> TrackPlan:
    """Lists the detections, then the coasting tracks.

    Args:
        frame: what is known of it.
        supported: its K detections.
        coasting: C tracks without one.
        track_ids: K identities.
        config: of the tracker.
    """
    detections, count = supported.detections, len(supported.detections)
    boxes = [*detections.boxes_xyxy, *(_wider(one) for one in coasting)]
    clipped = [_clipped(box, frame.image_hw) for box in boxes]
    followed = [*supported.forecasts, *coasting]
    tracks = [one.track for one in coasting]
    unseen_s = [_unseen_s(track, frame.stamp_s) for track in tracks]
    decay = 0.5 ** (np.array(unseen_s) / config.score_half_life)
    return TrackPlan(
        boxes_xyxy=np.array(clipped, np.float32).reshape(-1, 4),
        # After drift M_spec is the box.
        guided=np.array([one is not None and not one.track.restart for one in followed], bool),
        prior_dilation=config.prior_dilation,
        points=tuple(_points(one, frame.image_hw) for one in followed),
        track_ids=np.array([*track_ids, *(track.track_id for track in tracks)], np.int32),
        detection_index=np.append(supported.kept, [-1] * len(tracks)).astype(np.int32),
        coasting=np.array([False] * count + [not track.given for track in tracks], bool),
        coasting_s=np.append(np.zeros(count), unseen_s).astype(np.float32),
        pinned=np.array([one is not None and one.track.pinned for one in followed], bool),
        scores=np.append(detections.scores, [track.score for track in tracks] * decay).astype(
            np.float32
        ),
        class_ids=(*detections.class_ids, *(track.class_id for track in tracks)),
        detection_ids=(*detections.detection_ids, *("" for _ in tracks)),
        identities=(*own_ids(detections), *(track.identity for track in tracks)),
        stamp_s=frame.stamp_s,
        image_hw=frame.image_hw,
        epoch=frame.epoch,
        dropped=supported.dropped,
        reset=frame.reset,
        forecasts=tuple(followed),
        scene=frame.scene,
        motion=frame.motion,
        camera=frame.camera,
    )


def _unseen_s(track: Track, stamp_s: float) -> float:
    """Seconds since a track's last detection; of a given object since it was confirmed."""
    if track.given:
        return 0.0
    return stamp_s - (track.trusted_s if track.pinned else track.last_seen_s)


def _clipped(box: np.ndarray, image_hw: tuple[int, int]) -> list[float]:
    """A prompt box (4,), clipped to the image; in plain numbers, as `move_box`."""
    limits = (*image_hw[::-1], *image_hw[::-1])
    return [min(max(value, 0.0), limit) for value, limit in zip(box.tolist(), limits, strict=True)]


def _wider(one: Forecast) -> np.ndarray:
    """The prompt box (4,) of a lost object; every other time with more of what is around it."""
    box, track = one.prompt_box, one.track
    has_place = one.next_place is not None and one.next_place.box is not None
    if track.memory is None or has_place or track.missed < _PATIENCE:
        return box
    return expand_boxes([box], _WIDER)[0] if track.missed % 2 == 0 else box


def _points(one: Forecast | None, image_hw: tuple[int, int]) -> PointPrompt | None:
    """The points of an object just given, moved along; None where none on it is in the image."""
    if one is None or not one.track.given or one.track.points is None:
        return None
    coords = move_points(one.track.points.coords_xy, one.step).astype(np.float32)
    moved = PointPrompt(coords, one.track.points.labels)
    inside = moved.inside(image_hw)
    if not (moved.labels[inside] == 1).any():
        return None
    return PointPrompt(coords[inside], moved.labels[inside])
