# SPDX-License-Identifier: Apache-2.0
"""Masks as polygons."""

from __future__ import annotations

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask, outlines
from amodal_ros.image.masks import mask_iou


def test_a_rectangle_is_its_corners() -> None:
    mask = np.zeros((30, 40), bool)
    mask[10:20, 5:15] = True
    (polygon,) = outlines(CroppedMask.of(mask), 1.0)
    corners = {tuple(point) for point in polygon.tolist()}
    assert corners == {(5.5, 10.5), (14.5, 10.5), (14.5, 19.5), (5.5, 19.5)}


def test_parts_holes_and_single_pixels() -> None:
    mask = np.zeros((30, 40), bool)
    mask[2:20, 2:20] = True
    mask[6:12, 6:12] = False
    mask[25, 30] = True
    found = outlines(CroppedMask.of(mask), 1.0)
    assert len(found) == 3
    assert [30.5, 25.5] in [polygon[0].tolist() for polygon in found if len(polygon) == 1]
    assert outlines(CroppedMask.empty((30, 40)), 1.0) == []


def test_an_ellipse_drawn_again() -> None:
    drawn = np.zeros((200, 300), np.uint8)
    cv2.ellipse(drawn, (150, 90), (90, 50), 20.0, 0, 360, 1, -1)
    (polygon,) = outlines(CroppedMask.of(drawn.astype(bool)), 1.0)
    assert len(polygon) < 40
    again = np.zeros_like(drawn)
    cv2.fillPoly(again, [np.round(polygon - 0.5).astype(np.int32)], 1)
    assert mask_iou(drawn.astype(bool), again.astype(bool)) > 0.97
