# SPDX-License-Identifier: Apache-2.0
"""A small catalogue of models for tests: boxes and an L, textured or not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np

FACES = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
MTL = b"newmtl red\nKd 0.9 0.1 0.1\nKs 0.4 0.4 0.4\nnewmtl wood\nKd 1 1 1\nmap_Kd wood.png\n"
Block = tuple[tuple[float, float, float], tuple[float, float, float]]


def obj(*blocks: Block, material: str = "red") -> bytes:
    """An OBJ of boxes: size and lower corner of each, y up."""
    lines = ["mtllib m.mtl", "vt 0 0", "vt 1 0", "vt 1 1", "vt 0 1", f"usemtl {material}"]
    for number, (size, low) in enumerate(blocks):
        for corner in range(8):
            bits = (corner & 1, corner >> 1 & 1, corner >> 2)
            place = (b + s * bit for b, s, bit in zip(low, size, bits, strict=True))
            lines.append("v " + " ".join(f"{v}" for v in place))
        for face in FACES:
            corners = (f"{1 + 8 * number + i}/{k + 1}" for k, i in enumerate(face))
            lines.append("f " + " ".join(corners))
    return "\n".join(lines).encode()


MODELS = {
    "box": obj(((30, 60, 20), (0, 0, 0))),
    "ell": obj(((30, 10, 20), (5, 5, 5)), ((10, 50, 20), (5, 5, 5)), material="wood"),
    "rug": obj(((90, 1, 90), (0, 0, 0))),
    "cactus": obj(((10, 30, 10), (0, 0, 0))),
}


def write_catalogue(folder: Path, models: dict[str, bytes] | None = None) -> Path:
    """A folder with one catalogue, CC0; ids are ``Test#<name>``."""
    folder.mkdir(exist_ok=True)
    models = MODELS if models is None else models
    lines = ["id=Test", "license=Public domain"]
    with zipfile.ZipFile(folder / "test.sh3f", "w") as archive:
        for number, (name, data) in enumerate(models.items(), start=1):
            lines += [f"id#{number}=Test#{name}", f"name#{number}=The {name}"]
            lines += [f"model#{number}=/t/{name}/{name}.obj", f"creator#{number}=Somebody"]
            archive.writestr(f"t/{name}/{name}.obj", data)
            archive.writestr(f"t/{name}/m.mtl", MTL)
            wood = np.full((8, 12, 3), (30, 200, 40), np.uint8)
            archive.writestr(f"t/{name}/wood.png", cv2.imencode(".png", wood)[1].tobytes())
        archive.writestr("PluginFurnitureCatalog.properties", "\n".join(lines).encode("latin-1"))
    return folder
