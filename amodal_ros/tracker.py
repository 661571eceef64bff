# SPDX-License-Identifier: Apache-2.0
"""Follows objects over time: the previous amodal mask is the next frame's M_spec (paper 3.5)."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amodal_ros.association import TrackCandidate, associate, own_ids
from amodal_ros.boxes import check_boxes
from amodal_ros.checks import check_array, check_hw
from amodal_ros.errors import InvalidInputError
from amodal_ros.masks import dilate_mask, mask_box, mask_iou
from amodal_ros.track_types import TrackedObject, TrackerConfig, TrackPlan
from amodal_ros.types import AmodalPrediction, Detections

__all__ = ["AmodalTracker", "TrackPlan", "TrackedObject", "TrackerConfig"]

logger = logging.getLogger(__name__)


@dataclass
class _Track:
    """What is remembered of an object; boxes (4,) and the mask are in original pixels.

    `amodal_mask` is the last one that was not empty, None before there was one. `given` is True
    from `add_object` to the first answer: the user's box stands for a detection.
    """

    track_id: int
    class_id: str
    identity: str
    score: float
    last_seen_s: float
    detected_box: np.ndarray
    visible_box: tuple[int, int, int, int] = (0, 0, 0, 0)
    amodal_box: tuple[int, int, int, int] = (0, 0, 0, 0)
    amodal_mask: np.ndarray | None = None
    pinned: bool = False
    given: bool = False

    def candidate(self) -> TrackCandidate:
        boxes = np.array([self.detected_box, self.visible_box, self.amodal_box], np.float32)
        return TrackCandidate(self.track_id, self.identity, boxes)

    def prompt_box(self) -> np.ndarray:
        """Where to look for it while no detection says: the box of its previous amodal mask."""
        if self.amodal_mask is None:
            return self.detected_box
        return np.array(self.amodal_box, np.float32)


class AmodalTracker:
    """Gives objects an identity and their M_spec from frame to frame.

    For each frame `plan` says what to ask of the predictor, `update` takes the answer in. A frame
    whose prediction failed is skipped by not calling `update`. Another thread may call `reset`.

    Args:
        config: how objects are followed.
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self._lock = threading.Lock()
        self._tracks: dict[int, _Track] = {}
        self._next_id = 0
        self._epoch = 0
        self._stamp_s = -math.inf
        self._image_hw: tuple[int, int] | None = None

    def __len__(self) -> int:
        """Number of objects followed."""
        return len(self._tracks)

    def reset(self) -> None:
        """Forgets all objects. The identities given here are not used again."""
        with self._lock:
            self._forget()

    def add_object(
        self,
        box_xyxy: ArrayLike,
        *,
        amodal_mask: np.ndarray | None = None,
        class_id: str = "",
        score: float = 1.0,
    ) -> int:
        """Starts a track that needs no detector: a user gives the object (`~/add_object`).

        In the next frame its box is the prompt; from then on it coasts, unless detections support
        it, and ends only by `remove_object`, by `reset` or by the drift check. Any thread may
        call this, before the first frame too.

        Args:
            box_xyxy: (4,) pixels of the newest image that was planned.
            amodal_mask: (H, W) bool of that image, where it is known: M_spec of the next frame.
            class_id: copied to every mask of the object.
            score: in [0, 1]; decides who stays when there are more than `max_objects`.

        Returns:
            The new track's identity, at least 0.

        Raises:
            InvalidInputError: for a box that is faulty or outside the image, a mask that is empty
                or of another size, a bad score, or when `max_objects` were given already.
        """
        box = check_boxes("box_xyxy", np.asarray(box_xyxy, np.float32).reshape(1, -1))
        if not 0 <= score <= 1:
            raise InvalidInputError(f"score: expected a number in [0, 1], got {score}")
        with self._lock:
            if self._image_hw is not None:
                check_boxes("box_xyxy", box, self._image_hw)
                if amodal_mask is not None:
                    check_array("amodal_mask", amodal_mask, np.bool_, self._image_hw)
            elif amodal_mask is not None:
                raise InvalidInputError("amodal_mask: expected none before the first frame")
            if amodal_mask is not None and not amodal_mask.any():
                raise InvalidInputError("amodal_mask: expected at least one pixel, got none")
            pinned = sum(track.pinned for track in self._tracks.values())
            if pinned >= self.config.max_objects:
                raise InvalidInputError(
                    f"expected at most {self.config.max_objects} objects (max_objects),"
                    f" got {pinned} before this one"
                )
            track = _Track(self._new_id(), class_id, "", score, self._stamp_s, box[0])
            track.pinned = track.given = True
            if amodal_mask is not None:
                track.amodal_mask, track.amodal_box = amodal_mask.copy(), mask_box(amodal_mask)
            self._tracks[track.track_id] = track
            return track.track_id

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

    def plan(self, detections: Detections, stamp_s: float, image_hw: tuple[int, int]) -> TrackPlan:
        """Says what to segment in a frame.

        Time that goes backwards and another image size reset the tracker.

        Args:
            detections: of this frame, each overlapping the image.
            stamp_s: time of the frame, in seconds.
            image_hw: (height, width) of the frame.

        Raises:
            InvalidInputError: for a box outside the image, a time not finite, or a bad size.
        """
        hw = check_hw("image_hw", image_hw)
        if not math.isfinite(stamp_s):
            raise InvalidInputError(f"stamp_s: expected a finite time in seconds, got {stamp_s}")
        kept = _best(detections, self.config.max_objects)
        chosen = detections.select(kept)
        check_boxes("detections.boxes_xyxy", chosen.boxes_xyxy, hw)
        with self._lock:
            reset = self._follow_stream(stamp_s, hw)
            tracks = list(self._tracks.values())
            matches = associate(
                chosen, [track.candidate() for track in tracks], self.config.match_iou
            )
            matched = [tracks[index] if index >= 0 else None for index in matches]
            rows = self._room_for_given(chosen.scores, matched)
            chosen, kept, matched = chosen.select(rows), kept[rows], [matched[row] for row in rows]
            found = {track.track_id for track in matched if track is not None}
            missed = [track for track in tracks if track.track_id not in found]
            coasting = self._still_coasting(missed, stamp_s, self.config.max_objects - len(chosen))
            dropped = len(detections) - len(chosen)
            return self._make_plan(chosen, kept, matched, coasting, stamp_s, hw, dropped, reset)

    def update(self, plan: TrackPlan, prediction: AmodalPrediction) -> tuple[TrackedObject, ...]:
        """Takes in what the predictor answered to a plan.

        Args:
            plan: of the frame.
            prediction: for the plan's boxes and priors.

        Returns:
            The plan's objects, in its order; an object may have empty masks.

        Raises:
            InvalidInputError: when number or size of the masks are not the plan's.
        """
        expected = (len(plan), *plan.image_hw)
        if prediction.raw_amodal_masks.shape != expected:
            raise InvalidInputError(
                f"prediction: expected masks of shape {expected},"
                f" got {prediction.raw_amodal_masks.shape}"
            )
        objects = tuple(self._observe(plan, row, prediction) for row in range(len(plan)))
        with self._lock:
            if plan.epoch == self._epoch:
                for row, item in enumerate(objects):
                    self._remember(plan, row, item)
        return objects

    def _forget(self) -> None:
        self._tracks.clear()
        self._epoch += 1
        self._stamp_s = -math.inf
        self._image_hw = None

    def _follow_stream(self, stamp_s: float, image_hw: tuple[int, int]) -> str:
        """Resets where the stream does not go on from the frame before; returns why."""
        reason = ""
        if stamp_s < self._stamp_s:
            reason = f"time went back by {self._stamp_s - stamp_s:.3f} s"
        elif self._image_hw not in (None, image_hw):
            reason = f"image size went from {self._image_hw} to {image_hw}"
        if reason:
            logger.warning("Tracks reset: %s", reason)
            self._forget()
        self._stamp_s, self._image_hw = stamp_s, image_hw
        return reason

    def _room_for_given(self, scores: np.ndarray, matched: list[_Track | None]) -> np.ndarray:
        """Rows (K,) of the detections that stay, so that all objects that a user gave fit in."""
        found = np.array([track is not None and track.pinned for track in matched], bool)
        given = sum(track.pinned for track in self._tracks.values())
        others = np.flatnonzero(~found)
        best = others[np.argsort(-scores[others], kind="stable")]
        return np.sort(
            np.append(np.flatnonzero(found), best[: self.config.max_objects - given]).astype(int)
        )

    def _still_coasting(self, missed: list[_Track], stamp_s: float, room: int) -> list[_Track]:
        """Ends the missed tracks that are too old or too many; returns the others by identity."""
        limit = self.config.max_coast_s
        alive = [
            track
            for track in missed
            if track.pinned or limit < 0 or stamp_s - track.last_seen_s <= limit > 0
        ]
        alive = sorted(alive, key=lambda track: (-track.pinned, -track.score))[: max(room, 0)]
        staying = {track.track_id for track in alive}
        for track in missed:
            if track.track_id not in staying:
                del self._tracks[track.track_id]
        return sorted(alive, key=lambda track: track.track_id)

    def _make_plan(
        self,
        detections: Detections,
        kept: np.ndarray,
        matched: list[_Track | None],
        coasting: list[_Track],
        stamp_s: float,
        image_hw: tuple[int, int],
        dropped: int,
        reset: str,
    ) -> TrackPlan:
        """Lists the detections, new objects with new identities, then the coasting tracks."""
        count = len(detections)
        boxes = [*detections.boxes_xyxy, *(track.prompt_box() for track in coasting)]
        followed = [*matched, *coasting]
        unseen_s = [0.0 if track.given else stamp_s - track.last_seen_s for track in coasting]
        half_lives = np.array(unseen_s) / self.config.score_half_life_s
        return TrackPlan(
            boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
            prior_masks=tuple(
                self._prior(track, box) for track, box in zip(followed, boxes, strict=True)
            ),
            track_ids=np.array(
                self._ids(detections, matched) + [track.track_id for track in coasting], np.int32
            ),
            detection_index=np.append(kept, [-1] * len(coasting)).astype(np.int32),
            coasting=np.array([False] * count + [not track.given for track in coasting], bool),
            coasting_s=np.append(np.zeros(count), unseen_s).astype(np.float32),
            pinned=np.array([track is not None and track.pinned for track in followed], bool),
            is_new=np.array([track is None for track in followed], bool),
            scores=np.append(
                detections.scores, [track.score for track in coasting] * 0.5**half_lives
            ).astype(np.float32),
            class_ids=(*detections.class_ids, *(track.class_id for track in coasting)),
            detection_ids=(*detections.detection_ids, *("" for _ in coasting)),
            identities=(*own_ids(detections), *(track.identity for track in coasting)),
            stamp_s=stamp_s,
            image_hw=image_hw,
            epoch=self._epoch,
            dropped=dropped,
            reset=reset,
        )

    def _ids(self, detections: Detections, matched: list[_Track | None]) -> list[int]:
        """The track of each detection: matched, brought by the detection, or a new one."""
        taken = set(detections.track_ids.tolist())
        ids: list[int] = []
        for given, track in zip(detections.track_ids.tolist(), matched, strict=True):
            if track is not None:
                ids.append(track.track_id)
            elif given >= 0 and given not in ids:
                ids.append(given)
            else:
                ids.append(self._new_id(taken))
        return ids

    def _new_id(self, taken: Collection[int] = ()) -> int:
        """An identity that no track has or had here, and that is not among `taken`."""
        while self._next_id in self._tracks or self._next_id in taken:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def _prior(self, track: _Track | None, box: np.ndarray) -> np.ndarray | None:
        """M_spec from the previous amodal mask; None, so the box, where they lie apart."""
        if track is None or track.amodal_mask is None:
            return None
        area = np.count_nonzero(track.amodal_mask)
        prior = dilate_mask(track.amodal_mask, self.config.prior_dilation * math.sqrt(area))
        x0, y0 = np.floor(np.maximum(box[:2], 0)).astype(int)
        x1, y1 = np.ceil(box[2:]).astype(int)
        return prior if prior[y0:y1, x0:x1].any() else None

    def _observe(self, plan: TrackPlan, row: int, prediction: AmodalPrediction) -> TrackedObject:
        """One object of the frame; while it coasts nothing is united into its amodal mask."""
        coasting = bool(plan.coasting[row])
        amodal, visible = prediction.amodal_masks[row], prediction.visible_masks[row]
        if coasting:
            amodal = prediction.raw_amodal_masks[row]
            agrees = mask_iou(visible, amodal) >= self.config.agreement_iou
            visible = visible & amodal if agrees else np.zeros_like(visible)
        return TrackedObject(
            track_id=int(plan.track_ids[row]),
            class_id=plan.class_ids[row],
            detection_id=plan.detection_ids[row],
            score=float(plan.scores[row]),
            predicted_iou=float(prediction.predicted_iou[row]),
            coasting=coasting,
            coasting_s=float(plan.coasting_s[row]),
            pinned=bool(plan.pinned[row]),
            visible_mask=visible,
            amodal_mask=amodal,
        )

    def _remember(self, plan: TrackPlan, row: int, item: TrackedObject) -> None:
        """Keeps what the next frame needs of an object."""
        track = self._tracks.get(item.track_id)
        if track is None and not plan.is_new[row]:
            return  # removed since the plan was made
        if track is None:
            track = _Track(item.track_id, "", "", 0.0, plan.stamp_s, plan.boxes_xyxy[row])
            self._tracks[item.track_id] = track
        if not item.coasting:
            track.class_id, track.score = item.class_id, item.score
            track.identity = plan.identities[row] or track.identity
            track.last_seen_s, track.detected_box = plan.stamp_s, plan.boxes_xyxy[row]
            track.given = False
        if item.amodal_mask.any():
            track.amodal_mask, track.amodal_box = item.amodal_mask, item.amodal_box_xyxy
            track.visible_box = item.visible_box_xyxy
        elif not item.coasting:
            track.amodal_mask = None
            track.amodal_box = track.visible_box = (0, 0, 0, 0)


def _best(detections: Detections, limit: int) -> np.ndarray:
    """Indices, ascending, of the at most `limit` detections of highest score."""
    if len(detections) <= limit:
        return np.arange(len(detections))
    return np.sort(np.argsort(-detections.scores, kind="stable")[:limit])
