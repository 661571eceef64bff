# SPDX-License-Identifier: Apache-2.0
"""Procedural surfaces (wood, plaster, a painting), all from a seeded generator."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from training.scenes.surfaces import noise

Colour = tuple[int, int, int]


def wood(
    rng: np.random.Generator, hw: tuple[int, int], dark: Colour, light: Colour, planks: int
) -> np.ndarray:
    """(H, W, 3) uint8 RGB: `planks` boards along the width, with grain and joints."""
    height, width = hw
    image = np.zeros((height, width, 3), dtype=np.float32)
    edges = np.linspace(0, height, planks + 1).astype(int)
    for top, bottom in pairwise(edges):
        board = (bottom - top, width)
        warp = noise(rng, board, (3, 4), 3)
        across = np.linspace(0, 1, board[0], dtype=np.float32)[:, None]
        rings = 0.5 + 0.5 * np.sin(2 * np.pi * (across * 2 + warp * 3 + rng.random()))
        fibre = noise(rng, board, (max(board[0] // 2, 1), 10), 2)
        mix = np.clip(0.3 * rings + 0.45 * fibre + 0.35 * rng.random(), 0, 1)[..., None]
        image[top:bottom] = np.array(dark) * (1 - mix) + np.array(light) * mix
        image[top : top + 3] *= 0.55
    return np.clip(image, 0, 255).astype(np.uint8)


def plaster(rng: np.random.Generator, hw: tuple[int, int], colour: Colour) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a painted wall, slightly uneven."""
    fine = noise(rng, hw, (hw[0] // 6, hw[1] // 6), 2)
    coarse = noise(rng, hw, (4, 4), 3)
    level = 0.93 + 0.05 * fine + 0.05 * coarse
    return np.clip(np.array(colour) * level[..., None], 0, 255).astype(np.uint8)


def panelling(
    rng: np.random.Generator, hw: tuple[int, int], colour: Colour, boards: int
) -> np.ndarray:
    """(H, W, 3) uint8 RGB: painted upright boards with grooves between them."""
    image = plaster(rng, hw, colour).astype(np.float32)
    for edge in np.linspace(0, hw[1], boards, endpoint=False).astype(int):
        image[:, edge : edge + 4] *= 0.72
        image[:, edge + 4 : edge + 7] *= 1.06
    return np.clip(image, 0, 255).astype(np.uint8)


def painting(rng: np.random.Generator, hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 RGB: an abstract landscape of hills under an evening sky, with a mat."""
    height, width = hw
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    image = np.array((236, 168, 112)) * (1 - down) + np.array((250, 222, 178)) * down
    image = np.repeat(image, width, axis=1)
    rows = np.arange(height)[:, None]
    hills = ((198, 120, 92), (140, 104, 104), (84, 98, 108), (48, 74, 84))
    for index, colour in enumerate(hills):
        ridge = noise(rng, (1, width), (1, 3), 4)[0]
        line = height * (0.38 + 0.15 * index - 0.22 * ridge)
        image[rows >= line[None]] = colour
    sun = (int(width * 0.68), int(height * 0.3))
    sky = cv2.circle(np.zeros(hw, np.uint8), sun, height // 11, 1, -1, cv2.LINE_AA)
    image[(sky > 0) & (rows < height * 0.42)] = (252, 240, 214)
    margin = height // 9
    framed = np.full((height, width, 3), 240, dtype=np.uint8)
    inner = np.clip(image, 0, 255).astype(np.uint8)
    size = (width - 2 * margin, height - 2 * margin)
    framed[margin:-margin, margin:-margin] = cv2.resize(inner, size, interpolation=cv2.INTER_AREA)
    return framed
