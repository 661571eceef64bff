# SPDX-License-Identifier: Apache-2.0
"""Mean and pooled IoU over whole objects and over what is hidden of them, as papers define them.

``c2f`` itself is in `amodal_ros.metrics`, as the demo uses it too. Results are fractions in
[0, 1]; what cannot be computed, a mean over nothing, is None (null in reports).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.metrics import MiouResult, Overlap, check_masks, diagonal_tolerance

SAVOS_RANGE = (0.1, 0.7)  # lowest and highest occlusion rate, both included


def pooled(overlaps: Sequence[Overlap]) -> MiouResult:
    """``pooled``: sum of intersections over sum of unions (deocclusion, SDAmodal).

    Large objects dominate; not comparable with the means.
    """
    full = sum(one.full_union for one in overlaps)
    hidden = sum(one.hidden_union for one in overlaps)
    return MiouResult(
        miou_full=sum(one.full_intersection for one in overlaps) / full if full else None,
        miou_occ=sum(one.hidden_intersection for one in overlaps) / hidden if hidden else None,
        n=len(overlaps),
        n_occluded=sum(one.is_occluded for one in overlaps),
    )


def occluded_only(overlaps: Iterable[Overlap]) -> MiouResult:
    """``occluded-only``: plain means over the instances with an occlusion rate in SaVos' range."""
    low, high = SAVOS_RANGE
    chosen = [one for one in overlaps if low <= one.occlusion_rate <= high]
    count = len(chosen)
    return MiouResult(
        miou_full=sum(one.iou_full for one in chosen) / count if count else None,
        miou_occ=sum(one.iou_occluded for one in chosen) / count if count else None,
        n=count,
        n_occluded=count,
    )


DAVIS_TOLERANCE = 0.008  # of the image diagonal, as in the DAVIS benchmark


def davis_tolerance(hw: tuple[int, int]) -> float:
    """The tolerance DAVIS uses for an image of this size, in whole pixels."""
    return diagonal_tolerance(hw, DAVIS_TOLERANCE)


@dataclass(frozen=True)
class VideoMiouResult:
    """Result over clips.

    Attributes:
        miou_full: mean over clips of the mean over frames; None without clips.
        miou_occ: likewise over hidden parts; frames without any score 0 and count.
        n: clips: one object through one video.
        n_frames: their frames.
    """

    miou_full: float | None
    miou_occ: float | None
    n: int
    n_frames: int


def c2f_video(clips: Iterable[Sequence[Overlap]]) -> VideoMiouResult:
    """Per-frame IoU, mean over the frames of a clip, then mean over clips.

    Unlike in ``c2f``, an empty union scores 0 for whole objects too: so does the published
    video code.
    """
    scored = [
        [(one.iou_full if one.full_union else 0.0, one.iou_occluded) for one in clip]
        for clip in clips
    ]
    if not scored:
        return VideoMiouResult(miou_full=None, miou_occ=None, n=0, n_frames=0)
    full, occluded = np.mean([np.mean(frames, axis=0) for frames in scored], axis=0)
    return VideoMiouResult(
        miou_full=float(full),
        miou_occ=float(occluded),
        n=len(scored),
        n_frames=sum(map(len, scored)),
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


EDGES = (0.2, 0.4, 0.6, 0.8)
UNOCCLUDED = "0 %"
LABELS = ("0-20 %", "20-40 %", "40-60 %", "60-80 %", "80-100 %")


def bucket_label(occlusion_rate: float) -> str:
    """The bucket of an occlusion rate, which includes its lower edge; the last includes 1.

    Raises:
        InvalidInputError: outside [0, 1].

    >>> bucket_label(0.0), bucket_label(0.2), bucket_label(1.0)
    ('0-20 %', '20-40 %', '80-100 %')
    """
    if not 0 <= occlusion_rate <= 1:
        raise InvalidInputError(f"occlusion_rate must be in [0, 1], got {occlusion_rate}")
    return LABELS[sum(occlusion_rate >= edge for edge in EDGES)]
