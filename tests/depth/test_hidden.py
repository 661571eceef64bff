# SPDX-License-Identifier: Apache-2.0
"""Where the rays of hidden pixels end, in the plane's frame: lateral, away, up."""

from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.depth.back import end_rays
from amodal_ros.depth.plane import SupportPlane

PLANE = SupportPlane(np.array([0.0, 0.0, 1.0]), camera_height=0.4)
TOP_M, FRONT_M, REAR_M = 0.1, 0.15, 0.4


def body() -> np.ndarray:
    """Front and top of a block that is 0.2 m wide."""
    x, away = np.meshgrid(np.linspace(-0.1, 0.1, 40), np.linspace(FRONT_M, REAR_M, 40))
    top = np.stack([x.ravel(), away.ravel(), np.full(x.size, TOP_M)], axis=1)
    x, up = np.meshgrid(np.linspace(-0.1, 0.1, 40), np.linspace(0, TOP_M, 40))
    front = np.stack([x.ravel(), np.full(x.size, FRONT_M), up.ravel()], axis=1)
    return np.concatenate([top, front])


@pytest.mark.parametrize(
    ("ray", "end"),
    [
        ((0.0, 0.3, -0.5), (0.0, 0.18, TOP_M)),
        ((0.02, 0.15, -0.35), (0.02, 0.15, 0.05)),
        ((0.0, -0.05, -1.0), (0.0, -0.015, TOP_M)),
    ],
    ids=["on top", "at the front", "to the camera's other side: on a top that goes on"],
)
def test_rays_end_on_the_object(ray, end):
    (found,) = end_rays(body(), np.array([ray]), PLANE)
    np.testing.assert_allclose(found, end, atol=0.004)


def test_no_ray_goes_below_the_plane():
    rays = np.column_stack([np.zeros(20), np.linspace(0.05, 0.6, 20), np.full(20, -1.0)])
    assert end_rays(body(), rays, PLANE)[:, 2].min() > -1e-9
