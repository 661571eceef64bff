# SPDX-License-Identifier: Apache-2.0
"""Draws boxes into a scene's picture: the true ones, ours, and those of what is seen."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from benchmarks.space.scenes import CORNERS, RgbdScene, TrueBox
from benchmarks.space.scores import scene_boxes

_SCALE = 2
_TRUE, _OURS, _SEEN = (255, 255, 255), (70, 220, 70), (60, 60, 235)  # BGR
_EDGES = [
    (a, b) for a in range(8) for b in range(a) if np.count_nonzero(CORNERS[a] != CORNERS[b]) == 1
]


def draw_boxes(scene: RgbdScene, least_hidden: float, file: Path) -> None:
    """Write a picture of the boxes by true masks of objects of which so much is hidden."""
    picture = cv2.resize(scene.image[..., ::-1], None, fx=_SCALE, fy=_SCALE)
    masks = [(entry.visible, entry.amodal) for entry in scene.objects]
    for number, (ours, _, seen) in scene_boxes(scene, masks):
        entry = scene.objects[number]
        if 1 - entry.visible.sum() / entry.amodal.sum() < least_hidden:
            continue
        true = entry.box
        _draw(picture, scene, true.centre, true.size, _turn(true), _TRUE)
        for box, colour in ((seen, _SEEN), (ours, _OURS)):
            if box is not None:
                moved = box.moved(scene.world_from_camera)
                _draw(picture, scene, moved.centre_xyz, moved.size_xyz, moved.rotation, colour)
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), picture)


def _turn(box: TrueBox) -> np.ndarray:
    cosine, sine = math.cos(box.angle), math.sin(box.angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _draw(
    picture: np.ndarray,
    scene: RgbdScene,
    centre: np.ndarray,
    size: np.ndarray,
    turn: np.ndarray,
    colour: tuple[int, int, int],
) -> None:
    corners = scene.world_from_camera.inverse().apply((CORNERS * size / 2) @ turn.T + centre)
    u, v = scene.camera.project(corners)
    points = np.rint(np.stack([u, v], axis=1) * _SCALE).astype(int)
    for a, b in _EDGES:
        cv2.line(picture, points[a].tolist(), points[b].tolist(), colour, 2, cv2.LINE_AA)
