# SPDX-License-Identifier: Apache-2.0
"""Folders of product shots: photos of one whole object before a white ground."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError
from training.taos.sources.base import CutOutSource
from training.taos.sources.cutouts import cut_out_from_rgba
from training.taos.types import CutOut
from training.untrusted import checked_hw, decode_rgb, read_bytes, working_hw

_LONG_SIDE = 640
_WHITE = 232  # the darkest channel of the ground
_STEP = 3  # by which neighbouring pixels of the ground differ at most


class WhiteGroundFolder(CutOutSource):
    """Every ``*.jpg`` and ``*.png`` below a folder, cut free of what is white about it."""

    kind = "white"

    def __init__(self, spec: str, root: Path) -> None:
        """Lists the files.

        Raises:
            InvalidInputError: if there is none.
        """
        self.spec = spec
        self._root = root
        self._records = sorted(
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if path.suffix.lower() in (".jpg", ".jpeg", ".png")
        )
        if not self._records:
            raise InvalidInputError(f"source {spec}: no .jpg or .png below {root}")

    def pool(self, shard: int) -> Sequence[str]:
        """All files."""
        return self._records

    def cut_out(self, key: str) -> CutOut:
        """Reads one photo and cuts its object out (see `CutOutSource.cut_out`)."""
        path = self._root / key
        data = read_bytes(path, key)
        rgb = decode_rgb(data, working_hw(checked_hw(data, path, key), _LONG_SIDE), path, key)
        opaque = (~white_ground(rgb)).astype(np.uint8) * 255
        # Half a pixel of the outline is mixed with the ground.
        alpha = cv2.GaussianBlur(cv2.erode(opaque, np.ones((3, 3), np.uint8)), (3, 3), 0.7)
        origin = {"source": self.spec, "kind": self.kind, "record": key}
        return cut_out_from_rgba(np.dstack([rgb, alpha]), origin, place=(path, key))


def white_ground(rgb: np.ndarray) -> np.ndarray:
    """Find the ground: what is nearly white and hangs together with the picture's border.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        (H, W) bool. White parts inside the object, behind an edge, are not in it.
    """
    framed = cv2.copyMakeBorder(rgb, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    closed = np.pad((framed.min(axis=2) < _WHITE).astype(np.uint8), 1)
    cv2.floodFill(
        framed.copy(), closed, (0, 0), 0, (_STEP,) * 3, (_STEP,) * 3,
        4 | (2 << 8) | cv2.FLOODFILL_MASK_ONLY,
    )  # fmt: skip
    ground = (closed[2:-2, 2:-2] == 2).astype(np.uint8)
    smooth = cv2.morphologyEx(ground, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return np.asarray(smooth > 0)
