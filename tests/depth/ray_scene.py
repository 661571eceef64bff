# SPDX-License-Identifier: Apache-2.0
"""Scenes of boxes on a table, rendered by casting a ray through each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from amodal_ros.depth.camera import PinholeCamera, RigidTransform

HW = (240, 320)
CAMERA = PinholeCamera(fx=300.0, fy=310.0, cx=158.3, cy=121.7)


@dataclass(frozen=True, eq=False)
class Block:
    """A box that stands on the table: centre of its base, its sides, its turn about z."""

    at_xy: tuple[float, float]
    size: tuple[float, float, float]
    yaw: float = 0.0

    @property
    def centre(self) -> np.ndarray:
        """(3,) in the world."""
        return np.array([*self.at_xy, self.size[2] / 2])


def looking_down(eye: tuple[float, float, float], degrees: float) -> RigidTransform:
    """World from camera: towards +y, so many degrees below the horizon; the table is z = 0."""
    down = np.radians(degrees)
    forward = np.array([0.0, np.cos(down), -np.sin(down)])
    right = np.array([1.0, 0.0, 0.0])
    return RigidTransform(
        np.stack([right, np.cross(forward, right), forward], axis=1), np.array(eye)
    )


def render(world_from_camera: RigidTransform, blocks: list[Block], table: bool = True):
    """Depth (H, W) float32, visible and amodal masks (N, H, W) bool of the blocks."""
    v, u = np.mgrid[: HW[0], : HW[1]]
    rays = np.stack(
        [(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(HW)], axis=-1
    )
    rays = rays @ world_from_camera.rotation.T
    eye = world_from_camera.translation
    own = np.stack([_block_depths(block, eye, rays) for block in blocks])
    nearest = own.min(axis=0)
    with np.errstate(divide="ignore"):
        plane = np.where(rays[..., 2] < 0, -eye[2] / rays[..., 2], np.inf)
    ground = plane if table else np.full(HW, 9.0)
    depth = np.minimum(nearest, ground)
    amodal = np.isfinite(own)
    visible = amodal & (own <= nearest)
    return np.where(np.isfinite(depth), depth, np.nan).astype(np.float32), visible, amodal


def _block_depths(block: Block, eye: np.ndarray, rays: np.ndarray) -> np.ndarray:
    cosine, sine = np.cos(block.yaw), np.sin(block.yaw)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    start, way = (eye - block.centre) @ turn, rays @ turn
    half = np.array(block.size) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (-half - start) / way, (half - start) / way
    enter = np.minimum(low, high).max(axis=-1)
    leave = np.maximum(low, high).min(axis=-1)
    return np.where((enter <= leave) & (enter > 0), enter, np.inf)
