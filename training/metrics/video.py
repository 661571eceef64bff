# SPDX-License-Identifier: Apache-2.0
"""``c2f-video``: C2F-Seg's metric for FISHBOWL and MOViD-A."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amodal_ros.metrics import Overlap, check_masks, measure_overlap


@dataclass(frozen=True)
class VideoMiouResult:
    """Result over clips.

    Attributes:
        miou_full: mean over clips of the mean over frames; None without clips.
        miou_occ: likewise over hidden parts; frames without any score 0 and count.
        n: clips (one object through one video) with at least one counted frame.
        n_frames: counted frames.
    """

    miou_full: float | None
    miou_occ: float | None
    n: int
    n_frames: int


class C2fVideoMiou:
    """Per-frame IoU, mean over the frames that count, then mean over clips."""

    def __init__(self) -> None:
        self._clips: dict[Hashable, list[tuple[float, float]]] = {}

    def update(
        self,
        clip: Hashable,
        prediction: NDArray[np.bool_],
        amodal: NDArray[np.bool_],
        visible: NDArray[np.bool_],
        counted: bool = True,
    ) -> None:
        """Add one frame.

        Args:
            clip: which object of which video.
            prediction: (H, W) bool, P.
            amodal: (H, W) bool, G.
            visible: (H, W) bool, V.
            counted: whether the frame's ``counts`` is 1 (padding and frames out of view: False).

        Raises:
            InvalidInputError: masks that are not bool or of different sizes.
        """
        self.add(clip, measure_overlap(prediction, amodal, visible), counted)

    def add(self, clip: Hashable, overlap: Overlap, counted: bool = True) -> None:
        """Add one frame whose pixels are counted already.

        Unlike in ``c2f``, an empty union scores 0 for whole objects too: so does the published
        video code.
        """
        if counted:
            full = overlap.iou_full if overlap.full_union else 0.0
            self._clips.setdefault(clip, []).append((full, overlap.iou_occluded))

    def compute(self) -> VideoMiouResult:
        """The means so far."""
        if not self._clips:
            return VideoMiouResult(miou_full=None, miou_occ=None, n=0, n_frames=0)
        means = [np.mean(frames, axis=0) for frames in self._clips.values()]
        full, occluded = np.mean(means, axis=0)
        return VideoMiouResult(
            miou_full=float(full),
            miou_occ=float(occluded),
            n=len(self._clips),
            n_frames=sum(len(frames) for frames in self._clips.values()),
        )


def video_post(
    prediction: NDArray[np.bool_], visible: NDArray[np.bool_], loss_mask: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """``c2f-video`` post: P where `loss_mask` is 0, the true visible mask elsewhere.

    Raises:
        InvalidInputError: masks that are not bool or of different sizes.
    """
    check_masks(prediction=prediction, visible=visible, loss_mask=loss_mask)
    return np.where(loss_mask, visible, prediction)
