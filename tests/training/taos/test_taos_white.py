# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from amodal_ros.errors import InvalidInputError
from training.taos.config import TaosConfig
from training.taos.sources import open_source
from training.taos.sources.cutouts import white_ground


def _shot() -> tuple[np.ndarray, np.ndarray]:
    """A red ring about a white middle before a white ground, and where the disc is."""
    image = np.full((200, 160, 3), 253, np.uint8)
    disc = np.zeros((200, 160), np.uint8)
    cv2.circle(disc, (80, 100), 60, 1, -1)
    image[disc > 0] = (180, 30, 20)
    cv2.circle(image, (80, 100), 25, (254, 254, 254), -1)
    return image, disc > 0


def test_the_ground_is_what_is_white_and_reaches_the_border():
    image, disc = _shot()
    ground = white_ground(image)
    union = np.count_nonzero(~ground | disc)
    assert np.count_nonzero(~ground & disc) / union > 0.97
    assert not ground[100, 80]


def test_a_folder_of_shots_is_a_source_of_cut_outs(tmp_path: Path):
    image, disc = _shot()
    Image.fromarray(image).save(tmp_path / "ring.jpg", quality=92)
    source = open_source(f"white:{tmp_path}", TaosConfig(), tmp_path)
    (key,) = source.pool(0)
    cut = source.cut_out(key)
    assert cut.area == pytest.approx(np.count_nonzero(disc), rel=0.06)
    assert cut.origin["kind"] == "white"


def test_an_empty_folder_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInputError, match=r"no \.jpg or \.jpeg or \.png"):
        open_source(f"white:{tmp_path}", TaosConfig(), tmp_path)
