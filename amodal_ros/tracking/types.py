# SPDX-License-Identifier: Apache-2.0
"""What goes into the tracker and comes out of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import mask_box
from amodal_ros.tracking.forecast import Forecast
from amodal_ros.tracking.frame_motion import SceneView
from amodal_ros.types import PointPrompt


@dataclass(frozen=True)
class TrackerConfig:
    """How objects are followed over time.

    Attributes:
        max_coast_s: a track without a detection ends after this many seconds; 0: at once,
            negative: never. Objects that a user gave are not subject to it.
        score_half_life_s: the score of a track without a detection halves in this time.
        prior_dilation: how far the previous amodal mask grows to become M_spec (paper 3.5), as a
            fraction of the square root of its area.
        match_iou: least box IoU by which a detection continues a track.
        agreement_iou: while a track coasts, its visible mask counts only with at least this IoU
            with the predicted amodal mask; else it would be the occluder's.
        coast_iou: while a track coasts, the decoder's amodal mask counts only with at least this
            IoU with the previous one, moved; else that one stays.
        min_predicted_iou: a mask of which the decoder predicts less has drifted.
        max_area_jump: a mask whose area grew or shrank by more than this factor has drifted.
        max_drift_s: an object that a user gave ends when its mask has not been confirmed for so
            many seconds, by a detection or by what is visible; negative: never.
        max_objects: most objects in a frame: detections of highest score, then coasting tracks.
    """

    max_coast_s: float = 2.0
    score_half_life_s: float = 1.0
    prior_dilation: float = 0.1
    match_iou: float = 0.3
    agreement_iou: float = 0.7
    coast_iou: float = 0.5
    min_predicted_iou: float = 0.5
    max_area_jump: float = 2.5
    max_drift_s: float = 10.0
    max_objects: int = 16

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            InvalidInputError: naming the field, what was expected and what came.
        """
        for name in ("max_coast_s", "max_drift_s"):
            if math.isnan(getattr(self, name)):
                raise InvalidInputError(f"{name}: expected a number of seconds, got nan")
        if not self.score_half_life_s > 0:
            raise InvalidInputError(
                f"score_half_life_s: expected seconds above 0, got {self.score_half_life_s}"
            )
        if not 0 <= self.prior_dilation <= 1:
            raise InvalidInputError(
                f"prior_dilation: expected a number in [0, 1], got {self.prior_dilation}"
            )
        for name in ("match_iou", "agreement_iou", "coast_iou"):
            if not 0 < getattr(self, name) <= 1:
                raise InvalidInputError(
                    f"{name}: expected a number in (0, 1], got {getattr(self, name)}"
                )
        if not 0 <= self.min_predicted_iou <= 1:
            raise InvalidInputError(
                f"min_predicted_iou: expected a number in [0, 1], got {self.min_predicted_iou}"
            )
        if not self.max_area_jump > 1:
            raise InvalidInputError(
                f"max_area_jump: expected a factor above 1, got {self.max_area_jump}"
            )
        if self.max_objects < 1:
            raise InvalidInputError(f"max_objects: expected at least 1, got {self.max_objects}")


@dataclass(frozen=True)
class TrackerStatus:
    """Counts of a tracker, for diagnostics.

    Attributes:
        tracks: objects followed.
        coasting: those of them that no detection supported in the last answered frame.
        pinned: those of them that a user gave.
        resets: how often all tracks were forgotten so far.
        restarts: how often a mask had drifted, so that M_spec was restarted from the box.
    """

    tracks: int
    coasting: int
    pinned: int
    resets: int
    restarts: int


@dataclass(frozen=True, eq=False)
class TrackPlan:
    """What to ask of the predictor for one frame: the detections kept, then the coasting tracks.

    Attributes:
        boxes_xyxy: (N, 4) float32, original pixels: the prompt boxes.
        prior_masks: N masks (H, W) bool, the M_spec of each object; None: to be made from its box.
        points: N point prompts beside the boxes, of objects just given by a user; None: none.
        track_ids: (N,) int32.
        detection_index: (N,) int32 into the frame's detections; -1: coasting.
        coasting: (N,) bool.
        coasting_s: (N,) float32, seconds since the last detection; 0 where there is one.
        pinned: (N,) bool, given by a user with `AmodalTracker.add_object`.
        scores: (N,) float32, the detector's; while coasting that of the last detection, decayed.
        class_ids: N class names.
        detection_ids: N identities given by the detector for this frame; empty: none, or coasting.
        identities: N identities under which the tracks are found again; empty: by overlap alone.
        stamp_s: time of the frame, in seconds.
        image_hw: (height, width) of the frame.
        epoch: how often the tracker had been reset; a plan from before a reset changes no track.
        dropped: number of detections left out because of `max_objects`.
        reset: why all tracks were forgotten before this frame; empty: they were not.
        forecasts: of N tracks, where each was expected; None: a new one.
        scene: of the image; None: none was given.
        camera: (2, 3) float64, its motion since the last answered frame; the identity: not known.
    """

    boxes_xyxy: np.ndarray
    prior_masks: tuple[np.ndarray | None, ...]
    points: tuple[PointPrompt | None, ...]
    track_ids: np.ndarray
    detection_index: np.ndarray
    coasting: np.ndarray
    coasting_s: np.ndarray
    pinned: np.ndarray
    scores: np.ndarray
    class_ids: tuple[str, ...]
    detection_ids: tuple[str, ...]
    identities: tuple[str, ...]
    stamp_s: float
    image_hw: tuple[int, int]
    epoch: int
    dropped: int
    reset: str
    forecasts: tuple[Forecast | None, ...]
    scene: SceneView | None
    camera: np.ndarray

    def __len__(self) -> int:
        """Number of objects N."""
        return len(self.track_ids)


@dataclass(frozen=True, eq=False)
class TrackedObject:
    """One object in one frame.

    Attributes:
        track_id: its identity over time, 0 and up; -1: it is not followed.
        class_id: its class as the detector named it; empty: unknown.
        detection_id: identity of the detection that supported it in this frame; empty: none.
        score: the detector's, in [0, 1]; while coasting that of the last detection, decayed.
        predicted_iou: the decoder's estimate for the amodal mask.
        coasting: no detection supported it in this frame.
        visible_mask: (H, W) bool, inside the amodal mask.
        amodal_mask: (H, W) bool; empty when the decoder found nothing.
        coasting_s: seconds since the last detection; 0 where there is one.
        pinned: given by a user; it does not end by age.
    """

    track_id: int
    class_id: str
    detection_id: str
    score: float
    predicted_iou: float
    coasting: bool
    visible_mask: np.ndarray
    amodal_mask: np.ndarray
    coasting_s: float = 0.0
    pinned: bool = False

    @cached_property
    def visible_box_xyxy(self) -> tuple[int, int, int, int]:
        """Tight half-open box of the visible mask, whole original pixels; zeros when empty."""
        return mask_box(self.visible_mask)

    @cached_property
    def amodal_box_xyxy(self) -> tuple[int, int, int, int]:
        """Tight half-open box of the amodal mask, whole original pixels; zeros when empty."""
        return mask_box(self.amodal_mask)

    @cached_property
    def occlusion_rate(self) -> float:
        """1 - |visible| / |amodal|, in [0, 1]; 0 for an empty amodal mask."""
        x0, y0, x1, y1 = self.amodal_box_xyxy
        amodal = np.count_nonzero(self.amodal_mask[y0:y1, x0:x1])
        visible = np.count_nonzero(self.visible_mask[y0:y1, x0:x1])
        return 1 - visible / amodal if amodal else 0.0
