# SPDX-License-Identifier: Apache-2.0
"""Small files in exactly the official layouts."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

HW = (24, 40)


def rectangle(x0: int, y0: int, x1: int, y1: int, hw: tuple[int, int] = HW) -> np.ndarray:
    mask = np.zeros(hw, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def polygon(x0: int, y0: int, x1: int, y1: int) -> list[float]:
    return [float(v) for v in (x0, y0, x1, y0, x1, y1, x0, y1)]


def rle(mask: np.ndarray) -> dict:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def rle_bytes(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def rle_uncompressed(mask: np.ndarray) -> dict:
    counts, value, run = [], False, 0
    for pixel in mask.reshape(-1, order="F"):
        if bool(pixel) == value:
            run += 1
        else:
            counts.append(run)
            value, run = bool(pixel), 1
    return {"size": list(mask.shape), "counts": [*counts, run]}


def write_image(path: Path, hw: tuple[int, int] = HW, color: tuple = (10, 200, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*hw, len(color)), color, dtype=np.uint8)).save(path)


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_pickle(path: Path, content: object, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def image_entry(number: int, name: str, hw: tuple[int, int] = HW) -> dict:
    return {"id": number, "file_name": name, "height": hw[0], "width": hw[1]}


@pytest.fixture(scope="session")
def layout() -> SimpleNamespace:
    return SimpleNamespace(
        hw=HW,
        rectangle=rectangle,
        polygon=polygon,
        rle=rle,
        rle_bytes=rle_bytes,
        rle_uncompressed=rle_uncompressed,
        write_image=write_image,
        write_json=write_json,
        write_pickle=write_pickle,
        image_entry=image_entry,
    )
