# SPDX-License-Identifier: Apache-2.0
"""What goes into the tracker and comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from amodal_ros.image.cropped import BoxXyxy, CroppedMask
from amodal_ros.object_memory import ObjectMemory
from amodal_ros.tracking.forecast import Forecast
from amodal_ros.tracking.scene import SceneMotion, SceneView
from amodal_ros.types import PointPrompt


@dataclass(frozen=True)
class TrackerStatus:
    """Counts of a tracker, for diagnostics.

    Attributes:
        tracks: objects followed.
        coasting: those of them that no detection supported in the last answered frame.
        pinned: those of them that a user gave.
        resets: how often all tracks were forgotten so far.
        restarts: how often a mask had drifted, so that M_spec was restarted from the box.
        remembered: objects that the model itself remembers.
        memory_bytes: what it remembers of them.
    """

    tracks: int
    coasting: int
    pinned: int
    resets: int
    restarts: int
    remembered: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, eq=False)
class TrackPlan:
    """What to ask of the predictor for one frame: the detections kept, then the coasting tracks.

    Attributes:
        boxes_xyxy: (N, 4) float32, original pixels: the prompt boxes.
        guided: (N,) bool, a mask is M_spec where one is known; else the box is.
        prior_dilation: growth of that mask, relative to the square root of its area.
        points: N point prompts beside the boxes, of objects just given by a user; None: none.
        track_ids: (N,) int32.
        detection_index: (N,) int32 into the frame's detections; -1: coasting.
        coasting: (N,) bool.
        coasting_s: (N,) float32, seconds since the last detection, of given objects since they
            were last confirmed; 0 where there is a detection.
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
        motion: of the picture since the last answered frame.
        camera: (2, 3) float64, its motion since the last answered frame; the identity: not known.
        small: (N,) bool, to be looked at in smaller regions; None: none of them.
    """

    boxes_xyxy: np.ndarray
    guided: np.ndarray
    prior_dilation: float
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
    motion: SceneMotion
    camera: np.ndarray
    small: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of objects N."""
        return len(self.track_ids)

    @cached_property
    def prior_masks(self) -> tuple[CroppedMask | None, ...]:
        """N masks, the M_spec of each object; None: to be made from its box.

        Made when they are first asked for: of a frame with a budget only a part is looked at.
        """
        rows = zip(self.forecasts, self.boxes_xyxy, self.guided, strict=True)
        return tuple(
            one.prior(box, self.prior_dilation) if one is not None and guided else None
            for one, box, guided in rows
        )

    @property
    def tight(self) -> np.ndarray:
        """(N,) bool: a detection says where the object is, and its last mask how much of it.

        So its region needs no more room than that mask; see `AmodalPredictor.predict`. Where an
        object without a detection lies is a forecast, which needs the room.
        """
        known = [prior is not None for prior in self.prior_masks]
        return np.array(known, bool) & (self.detection_index >= 0)

    @property
    def model_memories(self) -> tuple[ObjectMemory | None, ...]:
        """What the model remembers of N objects; None: nothing."""
        return tuple(None if one is None else one.track.model_memory for one in self.forecasts)

    @property
    def prompted(self) -> tuple[bool, ...]:
        """N: the box is a prompt even to a model that remembers the object.

        It is where M_spec is made from the box of a detection or of a user: a new object, one that
        is detected elsewhere, or after drift. The box of an object that coasts is a forecast.
        """
        rows = zip(self.prior_masks, self.coasting.tolist(), strict=True)
        return tuple(prior is None and not coasting for prior, coasting in rows)


@dataclass(frozen=True, eq=False)
class TrackedObject:
    """One object in one frame.

    Attributes:
        track_id: its identity over time, 0 and up; -1: it is not followed.
        class_id: its class as the detector named it; empty: unknown.
        detection_id: identity of the detection that supported it in this frame; empty: none.
        score: the detector's, in [0, 1]; while coasting that of the last detection, decayed.
        predicted_iou: the decoder's estimate for the amodal mask.
        coasting: no detection supported it in this frame; of a given object: nor did what is
            visible confirm it.
        visible: its visible mask, inside the amodal one.
        amodal: its amodal mask; empty when the decoder found nothing.
        coasting_s: for how many seconds it coasts; 0 where it does not.
        pinned: given by a user; it does not end by age.
        position_sigma_px: how far off it may be, as a standard deviation in original pixels; 0
            where a detection or what is visible shows where it is.
        age_s: seconds since the image in which the model last looked at it; its masks were moved
            since by what was measured. 0: it looked at it in this one.
    """

    track_id: int
    class_id: str
    detection_id: str
    score: float
    predicted_iou: float
    coasting: bool
    visible: CroppedMask
    amodal: CroppedMask
    coasting_s: float = 0.0
    pinned: bool = False
    position_sigma_px: float = 0.0
    age_s: float = 0.0

    @cached_property
    def visible_mask(self) -> np.ndarray:
        """(H, W) bool of `visible`, made when it is first asked for."""
        return self.visible.full()

    @cached_property
    def amodal_mask(self) -> np.ndarray:
        """(H, W) bool of `amodal`, made when it is first asked for."""
        return self.amodal.full()

    @property
    def visible_box_xyxy(self) -> BoxXyxy:
        """Tight half-open box of the visible mask, whole original pixels; zeros when empty."""
        return self.visible.box_xyxy

    @property
    def amodal_box_xyxy(self) -> BoxXyxy:
        """Tight half-open box of the amodal mask, whole original pixels; zeros when empty."""
        return self.amodal.box_xyxy

    @cached_property
    def occlusion_rate(self) -> float:
        """1 - |visible| / |amodal|, in [0, 1]; 0 for an empty amodal mask."""
        seen = self.visible.area_in(self.amodal.box_xyxy)
        return 1 - seen / self.amodal.area if self.amodal.area else 0.0
