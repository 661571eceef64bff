# SPDX-License-Identifier: Apache-2.0
"""Metrics of amodal segmentation. They differ between papers: each has a name here."""

from __future__ import annotations

from amodal_ros.metrics import C2fMiou, MiouResult, Overlap, measure_overlap
from training.metrics.miou import (
    BoundaryF,
    BucketResult,
    C2fVideoMiou,
    OccludedOnlyMiou,
    OcclusionBuckets,
    PooledMiou,
    VideoMiouResult,
    bucket_label,
    davis_tolerance,
    united_with_visible,
    video_post,
)
from training.metrics.visible import VisibleMeans, VisibleResult, VisibleScore, measure_visible

__all__ = [
    "BoundaryF",
    "BucketResult",
    "C2fMiou",
    "C2fVideoMiou",
    "MiouResult",
    "OccludedOnlyMiou",
    "OcclusionBuckets",
    "Overlap",
    "PooledMiou",
    "VideoMiouResult",
    "VisibleMeans",
    "VisibleResult",
    "VisibleScore",
    "bucket_label",
    "davis_tolerance",
    "measure_overlap",
    "measure_visible",
    "united_with_visible",
    "video_post",
]
