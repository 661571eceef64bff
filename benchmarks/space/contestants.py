# SPDX-License-Identifier: Apache-2.0
"""Ours and what is seen alone: boxes of a scene's objects from masks and depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from amodal_ros.depth.box import ObjectBox, upright_box
from amodal_ros.depth.plane import find_support_plane
from amodal_ros.depth.whole import complete_object
from benchmarks.space.scenes import RgbdScene
from benchmarks.space.scores import BoxScore, score

CONTESTANTS = ("ours", "visible mask, our completion", "visible points")
_STRIDE = 2
Masks = tuple[np.ndarray, np.ndarray]
"""Visible and amodal mask (H, W) bool of one object."""


def scene_scores(
    scene: RgbdScene, masks: Sequence[Masks]
) -> Iterator[tuple[int, dict[str, BoxScore | None]]]:
    """Number of each object and its scores by contestant; None: no box, too little depth.

    Args:
        scene: with the true boxes.
        masks: of each of its objects.
    """
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
