# SPDX-License-Identifier: Apache-2.0
"""Small sources in exactly the official layouts, drawn by numpy and OpenCV."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.taos.taos_drawings import (
    HW,
    add_member,
    draw_photo,
    jpeg,
    outline,
    rle,
    sa1b_record,
    write_yolo,
)
from training.taos.config import TaosConfig


@pytest.fixture(scope="session")
def yolo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_yolo(tmp_path_factory.mktemp("yolo"))


@pytest.fixture(scope="session")
def coco_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("coco")
    (root / "images").mkdir()
    images, annotations = [], []
    for seed in range(4):
        image, masks = draw_photo(10 + seed)
        (root / f"images/{seed}.jpg").write_bytes(jpeg(image))
        images.append({"id": seed, "file_name": f"{seed}.jpg", "height": HW[0], "width": HW[1]})
        for index, mask in enumerate(masks):
            x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
            polygon = [[float(v) for v in outline(mask).ravel()]]
            annotations.append(
                {
                    "id": 10 * seed + index,
                    "image_id": seed,
                    "category_id": index + 1,
                    "iscrowd": 0,
                    "area": float(mask.sum()),
                    "bbox": [float(x), float(y), float(w), float(h)],
                    "segmentation": rle(mask) if index == 0 else polygon,
                }
            )
        crowd = {"counts": [0, HW[0] * HW[1]], "size": list(HW)}
        annotations.append(
            {
                "id": 90 + seed,
                "image_id": seed,
                "category_id": 1,
                "iscrowd": 1,
                "area": 1.0,
                "bbox": [0, 0, 1, 1],
                "segmentation": crowd,
            }
        )
    categories = [{"id": i + 1, "name": n} for i, n in enumerate(("ball", "box", "egg"))]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content))
    return root


@pytest.fixture(scope="session")
def sa1b_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tars of four records each, members as in the official ones."""
    root = tmp_path_factory.mktemp("sa1b")
    for shard in range(2):
        with tarfile.open(root / f"sa_{shard:06d}.tar", "w") as archive:
            for index in range(4):
                number = 100 * shard + index
                image, annotation = sa1b_record(number, 20 + number)
                add_member(archive, f"./sa_{number}.jpg", image)
                add_member(archive, f"./sa_{number}.json", annotation)
    return root


@pytest.fixture(scope="session")
def cutouts_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Soft-edged discs and a rounded box, as PNG and WebP."""
    root = tmp_path_factory.mktemp("cutouts")
    for number in range(4):
        rng = np.random.default_rng(number)
        alpha = np.zeros((90, 110), np.uint8)
        if number % 2:
            cv2.circle(alpha, (55, 45), 38, 255, -1)
        else:
            cv2.rectangle(alpha, (15, 20), (95, 70), 255, -1)
        alpha = cv2.GaussianBlur(alpha, (9, 9), 2.5)
        colour = rng.integers(20, 235, (90, 110, 3)).astype(np.uint8)
        suffix = "png" if number < 3 else "webp"
        options = [] if suffix == "png" else [cv2.IMWRITE_WEBP_QUALITY, 101]
        cv2.imwrite(str(root / f"{number}.{suffix}"), np.dstack([colour, alpha]), options)
    return root


@pytest.fixture
def config() -> TaosConfig:
    """Settings for photos of 240x180 with small shards."""
    return TaosConfig(seed=7, shard_size=4, image_format="png")
