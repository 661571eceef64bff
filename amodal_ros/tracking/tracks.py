# SPDX-License-Identifier: Apache-2.0
"""The objects that a tracker follows, each under an identity that is never given twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.answer import Outcome
from amodal_ros.tracking.camera_motion import choose_camera
from amodal_ros.tracking.carrying import carried_track, settled_track
from amodal_ros.tracking.forecast import Forecast, forecast
from amodal_ros.tracking.remembering import remembered
from amodal_ros.tracking.scene import SceneMotion
from amodal_ros.tracking.track import Track
from amodal_ros.tracking.types import TrackerStatus, TrackPlan
from amodal_ros.types import AmodalPrediction, Detections


class Tracks(dict[int, Track]):
    """Tracks by their identities. To clear it does not make identities free again."""

    def __init__(self) -> None:
        super().__init__()
        self._next_id = 0

    @property
    def pinned(self) -> int:
        """How many a user gave."""
        return sum(track.pinned for track in self.values())

    def status(self, answered_s: float, resets: int, restarts: int) -> TrackerStatus:
        """Counts, for diagnostics.

        Args:
            answered_s: time of the newest frame that was answered.
            resets: see `TrackerStatus`.
            restarts: likewise.
        """
        memories = [one.model_memory for one in self.values() if one.model_memory is not None]
        return TrackerStatus(
            tracks=len(self),
            coasting=sum(track.last_seen_s < answered_s for track in self.values()),
            pinned=self.pinned,
            resets=resets,
            restarts=restarts,
            remembered=len(memories),
            memory_bytes=sum(one.nbytes for one in memories),
        )

    def begin(self, track: Track) -> int:
        """Takes in a track without an identity; the identity that it gets."""
        track.track_id = self._new_id()
        self[track.track_id] = track
        return track.track_id

    def tear(self) -> int:
        """Ends all that no user gave; how many."""
        ended = [key for key, track in self.items() if not track.pinned]
        for key in ended:
            del self[key]
        return len(ended)

    def ids(self, detections: Detections, matched: Sequence[Forecast | None]) -> list[int]:
        """The track of each detection: matched, brought by the detection, or a new one."""
        taken = set(detections.track_ids.tolist())
        ids: list[int] = []
        for given, one in zip(detections.track_ids.tolist(), matched, strict=True):
            if one is not None:
                ids.append(one.track.track_id)
            elif given >= 0 and given not in ids:
                ids.append(given)
            else:
                ids.append(self._new_id(taken))
        return ids

    def poses(self, plan: TrackPlan) -> dict[int, np.ndarray]:
        """How the mask of each object of a plan has moved since it was taken: (2, 3) each."""
        return {key: self[key].pose.copy() for key in plan.track_ids.tolist() if key in self}

    def forecasts(
        self,
        motion: SceneMotion,
        passed_s: float,
        expected: np.ndarray | None,
        image_hw: tuple[int, int],
    ) -> tuple[list[Forecast], np.ndarray]:
        """Where the tracks should be now, and the camera's motion (2, 3).

        Args:
            motion: of the picture since the last answered frame.
            passed_s: seconds since then.
            expected: (2, 3), what the camera should have done since then; None: not known.
            image_hw: (height, width).
        """
        tracks = list(self.values())
        camera = choose_camera(tracks, motion, passed_s, expected)
        found = [forecast(one, motion, camera, passed_s, image_hw) for one in tracks]
        return found, camera

    def remember(self, plan: TrackPlan, outcomes: Sequence[Outcome]) -> int:
        """Keeps what the next frame needs of objects; of how many of them the mask had drifted."""
        drifted = 0
        for row, outcome in enumerate(outcomes):
            one, track_id = plan.forecasts[row], int(plan.track_ids[row])
            if one is not None and track_id not in self:
                continue  # removed since the plan was made
            track = remembered(plan, row, outcome, _beside(outcomes, row))
            if outcome.judgement.repeats and track.is_young:  # a second box of an object began it
                self.pop(track_id, None)
                continue
            self[track_id] = track
            drifted += outcome.judgement.drifted
        return drifted

    def settle(
        self, plan: TrackPlan, outcomes: Sequence[Outcome], poses: Mapping[int, np.ndarray]
    ) -> int:
        """Takes in what came of an earlier frame; of how many objects the mask had drifted.

        Args:
            plan: of that frame.
            outcomes: of its rows.
            poses: see `poses`, of that frame.
        """
        drifted = 0
        for row, outcome in enumerate(outcomes):
            track_id = int(plan.track_ids[row])
            if track_id in self and track_id in poses:
                self[track_id] = settled_track(
                    *(plan, row, outcome, _beside(outcomes, row)),
                    *(self[track_id], poses[track_id]),
                )
                drifted += outcome.judgement.drifted
        return drifted

    def carry(self, plan: TrackPlan) -> None:
        """Brings the objects of a plan to its frame, which no predictor looked at."""
        for row, one in enumerate(plan.forecasts):
            track_id = int(plan.track_ids[row])
            if one is None or track_id in self:
                self[track_id] = carried_track(plan, row)

    def keep_memories(self, plan: TrackPlan, prediction: AmodalPrediction) -> None:
        """What the model remembers counts once its answer does; it may remember nothing."""
        memories = prediction.remembered or (None,) * len(plan)
        for track_id, memory in zip(plan.track_ids.tolist(), memories, strict=True):
            if track_id in self:
                self[track_id].model_memory = memory

    def _new_id(self, taken: Collection[int] = ()) -> int:
        """An identity that no track has or had here, and that is not among `taken`."""
        while self._next_id in self or self._next_id in taken:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1


def _beside(outcomes: Sequence[Outcome], row: int) -> list[CroppedMask]:
    """What is visible of all objects but that of a row."""
    return [one.judgement.visible for other, one in enumerate(outcomes) if other != row]
