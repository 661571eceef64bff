# SPDX-License-Identifier: Apache-2.0
"""A small dataset: squares that rest, one of which a screen hides for a while."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from training.datasets import AmodalCocoWriter

HW = (120, 160)
FRAMES = 34
RESTING, HIDDEN, SCREEN = (10, 70, 40, 100), (80, 40, 105, 65), (70, 30, 120, 80)
HIDDEN_FRAMES = range(8, 8 + 14)


def filled(box: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def write_clips(folder: Path, clips: int = 2) -> Path:
    """Write ``clips.json`` and its images; the second object is hidden for over a second."""
    (folder / "images").mkdir(parents=True)
    writer = AmodalCocoWriter({}, ["resting", "hidden"])
    for clip in range(clips):
        rng = np.random.default_rng(clip)
        coarse = rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)
        background = cv2.resize(coarse, HW[::-1], interpolation=cv2.INTER_CUBIC)
        for frame in range(FRAMES):
            image, visible = background.copy(), filled(HIDDEN)
            if frame in HIDDEN_FRAMES:
                image[filled(SCREEN)] = (200, 30, 30)
                visible &= ~filled(SCREEN)
            name = f"images/{clip}_{frame:02d}.png"
            Image.fromarray(image).save(folder / name)
            number = writer.add_image(name, HW, clip + 1, frame)
            writer.add_object(number, "resting", filled(RESTING), filled(RESTING), 1)
            writer.add_object(number, "hidden", filled(HIDDEN), visible, 2)
    writer.write(folder / "clips.json")
    return folder
