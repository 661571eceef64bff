# SPDX-License-Identifier: Apache-2.0
"""Follows objects over time: the previous amodal mask is the next frame's M_spec (paper 3.5)."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from amodal_ros.checks import check_hw, check_image
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import check_boxes
from amodal_ros.tracking.aligning import aligned
from amodal_ros.tracking.answer import Outcome
from amodal_ros.tracking.carrying import carried_objects
from amodal_ros.tracking.judgement import judge
from amodal_ros.tracking.plan import FrameInfo, make_plan
from amodal_ros.tracking.remembering import published
from amodal_ros.tracking.scene import SceneMotion, SceneView
from amodal_ros.tracking.search import SecondLook, second_look
from amodal_ros.tracking.settings import TrackerConfig
from amodal_ros.tracking.stream import Stream
from amodal_ros.tracking.support import still_coasting, supported
from amodal_ros.tracking.track import given_track
from amodal_ros.tracking.tracks import Tracks
from amodal_ros.tracking.types import TrackedObject, TrackerStatus, TrackPlan
from amodal_ros.types import AmodalPrediction, Detections, PointPrompt

__all__ = ["AmodalTracker", "TrackPlan", "TrackedObject", "TrackerConfig", "TrackerStatus"]

logger = logging.getLogger(__name__)


class AmodalTracker:
    """Gives objects an identity and their M_spec from frame to frame.

    For each frame `plan` says what to ask of the predictor, `update` takes the answer in. A frame
    whose prediction failed is skipped by not calling `update`. Other threads may call `reset`,
    `add_object`, `remove_object` and `status`, and may replace `config`, at any time.

    Args:
        config: how objects are followed.
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self._lock = threading.Lock()
        self._tracks = Tracks()
        self._epoch = 0
        self._restarts = 0
        self._stream = Stream()
        self._crowded = False
        self._judged: list[Outcome] = []  # by `look_again`, of the newest answer

    def __getstate__(self) -> dict[str, Any]:
        """All but the lock: a run over a recording keeps its tracks, and goes on later."""
        with self._lock:
            return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._lock = threading.Lock()
        vars(self).update(state)

    def __len__(self) -> int:
        """Number of objects followed."""
        return len(self._tracks)

    def reset(self) -> None:
        """Forgets all objects. The identities given here are not used again."""
        with self._lock:
            self._forget()

    def status(self) -> TrackerStatus:
        """Counts, for diagnostics."""
        with self._lock:
            return self._tracks.status(self._stream.answered_s, self._epoch, self._restarts)

    def add_object(
        self,
        box_xyxy: ArrayLike,
        *,
        amodal_mask: np.ndarray | None = None,
        points: PointPrompt | None = None,
        class_id: str = "",
        score: float = 1.0,
    ) -> int:
        """Starts a track that needs no detector: a user gives the object (`~/add_object`).

        In the next frame box and points are the prompt; from then on it coasts, unless detections
        support it, and ends only by `remove_object`, by `reset` or by the drift check. Any thread
        may call this, before the first frame too.

        Args:
            box_xyxy: (4,) pixels of the newest image that was planned.
            amodal_mask: (H, W) bool of that image, where it is known: M_spec of the next frame.
            points: that refine the box, in its pixels; None: none.
            class_id: copied to every mask of the object.
            score: in [0, 1]; decides who stays when there are more than `max_objects`.

        Returns:
            The new track's identity, at least 0.

        Raises:
            InvalidInputError: for a box that is faulty or outside the image, points outside it, a
                mask that is empty or of another size, a bad score, or when `max_objects` were
                given already.
        """
        with self._lock:
            pinned = self._tracks.pinned
            if pinned >= self.config.max_objects:
                raise InvalidInputError(
                    f"expected at most {self.config.max_objects} objects (max_objects),"
                    f" got {pinned} before this one"
                )
            track = given_track(
                *(box_xyxy, amodal_mask, points, class_id, score),
                *(self._stream.stamp_s, self._stream.image_hw),
            )
            return self._tracks.begin(track)

    def remove_object(self, track_id: int) -> None:
        """Ends a track, whoever began it; a detection that comes later begins a new one.

        Raises:
            InvalidInputError: when there is no such track.
        """
        with self._lock:
            if track_id not in self._tracks:
                raise InvalidInputError(
                    f"track_id: expected one of {sorted(self._tracks)}, got {track_id}"
                )
            del self._tracks[track_id]

    def plan(
        self,
        detections: Detections,
        stamp_s: float,
        image_hw: tuple[int, int],
        image_rgb: np.ndarray | None = None,
    ) -> TrackPlan:
        """Says what to segment in a frame.

        Time that goes backwards, another image size and, with images, a scene cut reset the
        tracker.

        Args:
            detections: of this frame, each overlapping the image.
            stamp_s: time of the frame, in seconds.
            image_hw: (height, width) of the frame.
            image_rgb: (H, W, 3) uint8 RGB, the frame: with it the motion of camera and objects is
                measured and cuts are seen, without it nothing is moved.

        Raises:
            InvalidInputError: for a box outside the image, a time not finite, or a bad size.
        """
        hw = check_hw("image_hw", image_hw)
        if not math.isfinite(stamp_s):
            raise InvalidInputError(f"stamp_s: expected a finite time in seconds, got {stamp_s}")
        config = self.config
        check_boxes("detections.boxes_xyxy", detections.boxes_xyxy, hw)
        scene = None if image_rgb is None else SceneView.of(_check_frame(image_rgb, hw))
        with self._lock:
            motion, reset = self._follow_stream(stamp_s, hw, scene)
            passed_s = self._stream.passed_s(stamp_s)
            expected = self._stream.expected_camera(stamp_s)
            forecasts, camera = self._tracks.forecasts(motion, passed_s, expected, hw)
            used = supported(detections, forecasts, stamp_s, self._tracks.pinned, config)
            self._warn_if_crowded(used.dropped)
            coasting, ended = still_coasting(
                forecasts, used.forecasts, stamp_s, self._stream.answered_s, config
            )
            for track_id in ended:
                del self._tracks[track_id]
            ids = self._tracks.ids(used.detections, used.forecasts)
            frame = FrameInfo(stamp_s, hw, self._epoch, reset, scene, motion, camera)
            return make_plan(frame, used, coasting, ids, config)

    def look_again(self, plan: TrackPlan, prediction: AmodalPrediction) -> SecondLook | None:
        """Where to ask for objects once more, in the same frame, that were lost in it.

        It takes nothing in: `update` does, with the new plan and the joined answer.

        Args:
            plan: of the frame.
            prediction: for the plan's boxes and priors.

        Returns:
            None where no object was lost, or where nothing around looks like one that was. Also
            where the model follows by memory: it has looked for them in the whole image.
        """
        if prediction.features is None or not plan.coasting.any() or prediction.remembered:
            return None
        self._judged = judge(plan, prediction, self.config)
        return second_look(plan, self._judged)

    def update(
        self, plan: TrackPlan, prediction: AmodalPrediction, carried: TrackPlan | None = None
    ) -> tuple[TrackedObject, ...]:
        """Takes in what the predictor answered to a plan.

        Args:
            plan: of the frame, or of the part of it that the predictor was asked about.
            prediction: for the plan's boxes and priors.
            carried: the other part, whose masks are moved; None: there is none.

        Returns:
            The plan's objects, in its order; an object may have empty masks. Then those that were
            carried, but for those that no predictor has seen yet.

        Raises:
            InvalidInputError: when number or size of the masks are not the plan's.
        """
        expected, got = (len(plan), *plan.image_hw), (len(prediction), *prediction.image_hw)
        if got != expected:
            raise InvalidInputError(f"prediction: expected masks of shape {expected}, got {got}")
        outcomes = self._judge(plan, prediction)
        if carried is not None:
            found = [(one.judgement.amodal, one.judgement.visible) for one in outcomes]
            carried = aligned(carried, plan, found)
        objects = tuple(
            published(plan, row, outcome, float(prediction.predicted_iou[row]))
            for row, outcome in enumerate(outcomes)
        )
        with self._lock:
            if plan.epoch == self._epoch:
                self._restarts += self._tracks.remember(plan, outcomes)
                self._tracks.keep_memories(plan, prediction)
                if carried is not None:
                    self._tracks.carry(carried)
                points = plan.motion.points
                self._stream.answered(plan.stamp_s, plan.scene, plan.camera, points)
        return objects if carried is None else (*objects, *carried_objects(carried))

    def poses(self, plan: TrackPlan) -> dict[int, np.ndarray]:
        """How the mask of each object of a plan has moved since it was taken: (2, 3) each."""
        with self._lock:
            return self._tracks.poses(plan)

    def settle(
        self, plan: TrackPlan, prediction: AmodalPrediction, poses: Mapping[int, np.ndarray]
    ) -> None:
        """Takes in an answer to the plan of an earlier frame, whose objects were carried since.

        Args:
            plan: of what the predictor was asked about.
            prediction: for it.
            poses: see `poses`, of that frame.
        """
        outcomes = self._judge(plan, prediction)
        with self._lock:
            if plan.epoch != self._epoch:
                return
            self._restarts += self._tracks.settle(plan, outcomes, poses)
            self._tracks.keep_memories(plan, prediction)

    def _judge(self, plan: TrackPlan, prediction: AmodalPrediction) -> list[Outcome]:
        """What is believed of an answer; what `look_again` found of it is taken from there."""
        before, self._judged = self._judged, []
        before = before if len(before) == len(plan) else []
        return judge(plan, prediction, self.config, before)

    def _forget(self) -> None:
        self._tracks.clear()
        self._epoch += 1
        self._stream = Stream()

    def _follow_stream(
        self, stamp_s: float, image_hw: tuple[int, int], scene: SceneView | None
    ) -> tuple[SceneMotion, str]:
        """What the camera did; resets where the stream does not go on, and says why."""
        motion, reason = self._stream.follow(stamp_s, image_hw, scene)
        if reason:
            logger.warning("Tracks reset: %s", reason)
            self._forget()
        elif self._stream.is_torn(stamp_s, self.config.max_coast):
            ended, gap_s = self._tracks.tear(), self._stream.passed_s(stamp_s)
            logger.warning("%d tracks end: %.1f s without a frame", ended, gap_s)
        self._stream.stamp_s, self._stream.image_hw = stamp_s, image_hw
        return motion, reason

    def _warn_if_crowded(self, dropped: int) -> None:
        """Says so once when there begin to be more detections than are followed."""
        if dropped and not self._crowded:
            logger.warning(
                "More objects than max_objects=%d: the %d detections of lowest score are left out",
                self.config.max_objects,
                dropped,
            )
        self._crowded = dropped > 0


def _check_frame(image_rgb: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
    image = check_image(image_rgb)
    if image.shape[:2] != image_hw:
        raise InvalidInputError(f"image_rgb: expected size {image_hw}, got {image.shape[:2]}")
    return image
