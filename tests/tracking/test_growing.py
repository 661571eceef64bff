# SPDX-License-Identifier: Apache-2.0
"""What was added to a shape is told from a shape that changed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.growing import added_part
from amodal_ros.tracking.track import move_mask

HW = (240, 320)
ARM = (40, 70, 100, 110)  # beside the jug


def jug() -> CroppedMask:
    """A body with a thin spout."""
    mask = np.zeros(HW, bool)
    mask[60:160, 100:170] = True
    for step in range(60):
        mask[120 - step : 128 - step, 170 + step] = True
    return CroppedMask.of(mask)


def motion(degrees: float = 0.0, scale: float = 1.0, right: float = 0.0) -> np.ndarray:
    turned = cv2.getRotationMatrix2D((135.0, 110.0), degrees, scale)
    turned[0, 2] += right
    return turned


@pytest.mark.parametrize("degrees", [0.0, -12.0, 18.0])
def test_an_arm_that_holds_a_thing_was_added_to_it_wherever_it_goes(degrees: float) -> None:
    moved = motion(degrees, right=30)
    now, arm = move_mask(jug(), moved), move_mask(CroppedMask.filled(HW, ARM), moved)
    added = added_part(jug(), now | arm)
    assert added.share_in(arm) > 0.95
    assert arm.share_in(added) > 0.75  # but for the rim
    assert added.share_in(now) < 0.05


@pytest.mark.parametrize("scale", [1.1, 1.3])
def test_to_what_comes_nearer_nothing_was_added(scale: float) -> None:
    assert added_part(jug(), move_mask(jug(), motion(scale=scale))).is_empty


def test_to_what_shows_its_broad_side_nothing_was_added() -> None:
    broad = CroppedMask.filled(HW, (100, 60, 200, 160))
    assert added_part(CroppedMask.filled(HW, (100, 60, 160, 160)), broad).is_empty


def test_to_what_is_another_shape_or_smaller_nothing_was_added() -> None:
    flat = CroppedMask.filled(HW, (10, 150, 300, 190))
    assert added_part(jug(), flat | CroppedMask.filled(HW, (10, 120, 40, 150))).is_empty
    assert added_part(jug(), CroppedMask.filled(HW, (100, 60, 170, 160))).is_empty
    assert added_part(CroppedMask.empty(HW), jug()).is_empty


def test_what_is_thin_was_not_added() -> None:
    thin = CroppedMask.filled(HW, (170, 152, 280, 155))
    thick = CroppedMask.filled(HW, (170, 130, 240, 156))
    assert added_part(jug(), jug() | thin).is_empty
    assert not added_part(jug(), jug() | thick).is_empty
