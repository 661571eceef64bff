# SPDX-License-Identifier: Apache-2.0
"""Small datasets of discs behind bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.datasets import AmodalCocoWriter

HW = (120, 160)


def draw(shift: int, occluded: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture of a disc, its amodal and its visible mask."""
    rows, columns = np.mgrid[: HW[0], : HW[1]]
    amodal = (rows - 60) ** 2 + (columns - 70 - shift) ** 2 < 30**2
    bar = (columns > 80 + shift) & (columns < 95 + shift) if occluded else np.zeros(HW, bool)
    image = np.full((*HW, 3), 60, np.uint8)
    image[amodal] = (200, 80, 40)
    image[bar] = (30, 160, 60)
    image += np.random.default_rng(shift).integers(0, 20, image.shape, dtype=np.uint8)
    return image, amodal, amodal & ~bar


def write_chunk(folder: Path, first: int, count: int) -> None:
    """A chunk as ``training.scenes`` writes it: every other object is occluded."""
    (folder / "images").mkdir(parents=True)
    writer = AmodalCocoWriter({}, ["disc"])
    for number in range(first, first + count):
        image, amodal, visible = draw(number, occluded=number % 2 == 0)
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        writer.add_object(writer.add_image(f"{number}.png", HW), "disc", amodal, visible)
    writer.write(folder / "annotations.json")


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two chunks of six pictures."""
    folder = tmp_path_factory.mktemp("scenes")
    write_chunk(folder / "chunk_00000", 0, 6)
    write_chunk(folder / "chunk_00001", 6, 6)
    return folder


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video of five frames with one object."""
    folder = tmp_path_factory.mktemp("video")
    (folder / "images").mkdir()
    writer = AmodalCocoWriter({}, ["disc"])
    for frame in range(5):
        image, amodal, visible = draw(4 * frame, occluded=True)
        Image.fromarray(image).save(folder / "images" / f"{frame}.png")
        number = writer.add_image(f"{frame}.png", HW, video_id=1, frame=frame)
        writer.add_object(number, "disc", amodal, visible, track_id=7)
    writer.write(folder / "annotations.json")
    return folder
