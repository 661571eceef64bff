# SPDX-License-Identifier: Apache-2.0
"""Ten thousand malformed messages of each kind: each is converted or refused by name."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.compressed import compressed_to_rgb
from amodal_ros.ros.convert.depth import camera_from_info, depth_from_message
from amodal_ros.ros.convert.detections import detections_from_message
from amodal_ros.ros.convert.images import image_to_rgb
from amodal_ros.ros.node.segment import MOST_OBJECTS, PromptedObjects
from tests.ros.faults import malformed

NUMBER = 10_000
HW = (malformed.HEIGHT, malformed.WIDTH)


def run(make: Callable[[random.Random], Any], use: Callable[[Any], None]) -> tuple[int, int]:
    """How many were taken and how many refused; every other exception fails the test."""
    dice, taken, refused = random.Random(2026), 0, 0
    for _ in range(NUMBER):
        message = make(dice)
        try:
            use(message)
        except InvalidInputError:
            refused += 1
        else:
            taken += 1
    return taken, refused


def check_both_happened(counts: tuple[int, int]) -> None:
    assert min(counts) > NUMBER / 100, counts


def test_images():
    def use(message):
        rgb = image_to_rgb(message)
        assert (rgb.shape, rgb.dtype) == ((message.height, message.width, 3), np.uint8)

    check_both_happened(run(malformed.image, use))


def test_compressed_images():
    def use(message):
        rgb = compressed_to_rgb(message)
        assert (rgb.ndim, rgb.shape[2], rgb.dtype) == (3, 3, np.uint8)

    check_both_happened(run(malformed.compressed_image, use))


def test_depth_images():
    def use(message):
        depth = depth_from_message(message)
        assert (depth.shape, depth.dtype) == ((message.height, message.width), np.float32)
        assert (depth[np.isfinite(depth)] >= 0).all()

    check_both_happened(run(malformed.image, use))


def test_camera_infos():
    def use(message):
        camera = camera_from_info(message, HW)
        assert np.isfinite([camera.fx, camera.fy, camera.cx, camera.cy]).all()
        assert min(camera.fx, camera.fy) > 0

    check_both_happened(run(malformed.camera_info, use))


def test_detections():
    kept = rejected = 0

    def use(message):
        nonlocal kept, rejected
        found = detections_from_message(message, HW, min_score=0.0, max_objects=16)
        boxes = found.detections.boxes_xyxy
        kept, rejected = kept + len(boxes), rejected + sum(found.rejected.values())
        assert len(boxes) + sum(found.rejected.values()) == len(message.detections)
        assert np.isfinite(boxes).all()
        assert (boxes[:, :2] < boxes[:, 2:]).all()
        assert (boxes >= 0).all()
        assert (boxes <= [HW[1], HW[0], HW[1], HW[0]]).all()
        assert ((found.detections.scores >= 0) & (found.detections.scores <= 1)).all()

    # A bad box costs itself, never its message.
    assert run(malformed.detections, use) == (NUMBER, 0)
    assert min(kept, rejected) > NUMBER / 10


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_service_requests():
    def use(request):
        objects = PromptedObjects.from_fields(
            request.boxes_xyxy, request.points_xy, request.point_labels, request.point_owners
        )
        assert 0 < len(objects) <= MOST_OBJECTS
        assert objects.boxes_xyxy.shape[1:] == (4,)
        assert image_to_rgb(request.image).ndim == 3

    check_both_happened(run(malformed.segment_request, use))
