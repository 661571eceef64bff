# SPDX-License-Identifier: Apache-2.0
"""Draws the photos, masks and records that the tests of TAOS use."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask

HW = (180, 240)


def draw_photo(seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """A (180, 240, 3) RGB photo and the masks of its two or three objects, far apart."""
    rng = np.random.default_rng(seed)
    tone = rng.integers(60, 200, 3)
    image = np.clip(tone + rng.normal(0, 12, (*HW, 3)), 0, 255).astype(np.uint8)
    image = cv2.GaussianBlur(image, (3, 3), 0)
    masks = []
    for number, centre in enumerate([(60, 60), (170, 70), (110, 140)]):
        mask = np.zeros(HW, np.uint8)
        size = int(rng.integers(24, 32))
        if number == 0:
            cv2.circle(mask, centre, size, 1, -1)
        elif number == 1:
            cv2.rectangle(mask, (centre[0] - size, centre[1] - 22), (centre[0] + 22, 100), 1, -1)
        else:
            cv2.ellipse(mask, centre, (size + 6, 20), 10.0, 0, 360, 1, -1)
        grain = rng.normal(0, 10, (*HW, 3))
        image[mask > 0] = np.clip(rng.integers(0, 255, 3) + grain, 0, 255)[mask > 0]
        masks.append(mask.astype(bool))
    return image, masks


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def outline(mask: np.ndarray) -> np.ndarray:
    """(P, 2) corners in edge coordinates, as annotators draw them."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return contours[0][:, 0] + 0.5


def rle(mask: np.ndarray) -> dict[str, object]:
    """Compressed RLE with text counts, as in the official files."""
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(packed["size"]), "counts": packed["counts"].decode("ascii")}


def sa1b_record(number: int, seed: int) -> tuple[bytes, bytes]:
    """JPEG and JSON of one record with all of SA-1B's keys."""
    image, masks = draw_photo(seed)
    annotations = []
    for index, mask in enumerate(masks):
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        annotations.append(
            {
                "bbox": [float(x), float(y), float(w), float(h)],
                "area": int(mask.sum()),
                "segmentation": rle(mask),
                "predicted_iou": 0.97,
                "point_coords": [[x + w / 2, y + h / 2]],
                "crop_box": [0.0, 0.0, 240.0, 180.0],
                "id": 5_000 + 10 * number + index,
                "stability_score": 0.98,
            }
        )
    content = {
        "image": {
            "image_id": number,
            "width": HW[1],
            "height": HW[0],
            "file_name": f"sa_{number}.jpg",
        },
        "annotations": annotations,
    }
    return jpeg(image), json.dumps(content).encode("utf-8")


def write_yolo(root: Path) -> Path:
    """Six photos with their outlines, in YOLO's layout; of each photo a class for each object."""
    for folder in ("images/train", "labels/train"):
        (root / folder).mkdir(parents=True)
    for seed in range(6):
        image, masks = draw_photo(seed)
        (root / f"images/train/{seed:03d}.jpg").write_bytes(jpeg(image))
        lines = []
        for category, mask in enumerate(masks):
            points = outline(mask) / (HW[1], HW[0])
            lines.append(f"{category} " + " ".join(f"{v:.6f}" for v in points.ravel()))
        (root / f"labels/train/{seed:03d}.txt").write_text("\n".join(lines) + "\n")
    return root


def digests(folder: Path) -> dict[str, str]:
    """Content of everything a run leaves, but the time it took."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != "timing.json"
    }


def add_member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
