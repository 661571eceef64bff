# SPDX-License-Identifier: Apache-2.0
"""How far an estimated box is from the true one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from amodal_ros.depth.box import ObjectBox, upright_box
from amodal_ros.depth.plane import find_support_plane
from amodal_ros.depth.whole import complete_object
from benchmarks.space.scenes import RgbdScene, TrueBox

CONTESTANTS = ("ours", "visible mask, our completion", "visible points")
_STRIDE = 2
Masks = tuple[np.ndarray, np.ndarray]
"""Visible and amodal mask (H, W) bool of one object."""


def scene_scores(
    scene: RgbdScene, masks: Sequence[Masks]
) -> Iterator[tuple[int, dict[str, BoxScore | None]]]:
    """Number of each object and its scores by contestant; None: no box, too little depth."""
    for number, boxes in scene_boxes(scene, masks):
        scores = [_score(scene, number, box) for box in boxes]
        yield number, dict(zip(CONTESTANTS, scores, strict=True))


def scene_boxes(
    scene: RgbdScene, masks: Sequence[Masks]
) -> Iterator[tuple[int, list[ObjectBox | None]]]:
    """Number of each object and its boxes in the order of `CONTESTANTS`, in the camera's frame."""
    plane = find_support_plane(scene.depth_m, [visible for visible, _ in masks], scene.camera)
    for number, (visible, amodal) in enumerate(masks):
        whole, of_seen = (
            complete_object(scene.depth_m, visible, mask, scene.camera, plane, _STRIDE)
            for mask in (amodal, visible)
        )
        points = None
        if of_seen is not None:
            nothing = np.zeros((0, 3), np.float32)
            points = replace(of_seen, hidden=nothing, rim=nothing, back=nothing, base=nothing)
        yield (
            number,
            [
                None if found is None else upright_box(found, scene.camera)
                for found in (whole, of_seen, points)
            ],
        )


def _score(scene: RgbdScene, number: int, box: ObjectBox | None) -> BoxScore | None:
    if box is None:
        return None
    return score(box.moved(scene.world_from_camera), scene.objects[number].box)


_CHI2_3_95 = 7.815  # 95 % of a normal distribution in three dimensions


@dataclass(frozen=True)
class BoxScore:
    """Of one object; lengths in metres.

    Attributes:
        centre_m: distance of the centres.
        size_m: mean absolute difference of the three sides: longer level, shorter level, height.
        iou: overlap of both boxes' volumes.
        covered: the true centre lies where the covariance says with 95 %.
    """

    centre_m: float
    size_m: float
    iou: float
    covered: bool


def score(box: ObjectBox, true: TrueBox) -> BoxScore:
    """Compare a box in the world's frame, its z axis about up, with the true one."""
    level = sorted((float(box.size_xyz[0]), float(box.size_xyz[1])), reverse=True)
    size = np.array([*level, box.size_xyz[2]])
    off = box.centre_xyz - true.centre
    distance = float(off @ np.linalg.solve(box.covariance[:3, :3], off))
    return BoxScore(
        centre_m=float(np.linalg.norm(off)),
        size_m=float(np.abs(size - true.size).mean()),
        iou=_iou(box, true),
        covered=distance <= _CHI2_3_95,
    )


def _iou(box: ObjectBox, true: TrueBox) -> float:
    """Overlap of two upright boxes."""
    angle = math.atan2(box.rotation[1, 0], box.rotation[0, 0])
    first = _footprint(box.centre_xyz, box.size_xyz, angle)
    second = _footprint(true.centre, true.size, true.angle)
    kind, corners = cv2.rotatedRectangleIntersection(first, second)
    if kind == cv2.INTERSECT_NONE or corners is None:
        return 0.0
    area = cv2.contourArea(cv2.convexHull(corners))
    low = max(box.centre_xyz[2] - box.size_xyz[2] / 2, true.centre[2] - true.size[2] / 2)
    high = min(box.centre_xyz[2] + box.size_xyz[2] / 2, true.centre[2] + true.size[2] / 2)
    shared = area / 1e6 * max(high - low, 0.0)
    return float(shared / (np.prod(box.size_xyz) + np.prod(true.size) - shared))


def _footprint(
    centre: np.ndarray, size: np.ndarray, angle: float
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """OpenCV's rotated rectangle, in millimetres: it takes small numbers for nothing."""
    x, y = (centre[:2] * 1000).tolist()
    width, depth = (size[:2] * 1000).tolist()
    return (x, y), (width, depth), math.degrees(angle)
