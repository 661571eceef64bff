# SPDX-License-Identifier: Apache-2.0
"""Folders of objects already cut out: RGBA files, and product shots before a white ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError
from training.taos.sources.base import CutOutSource
from training.taos.target_filter import largest_piece_share, solidity
from training.taos.types import CutOut
from training.untrusted import (
    CorruptRecordError,
    RejectedError,
    checked_hw,
    decode_rgb,
    decode_rgba,
    read_bytes,
    working_hw,
)

MIN_AREA = 24 * 24
MIN_SOLIDITY = 0.3


class CutOutFolder(CutOutSource):
    """Every ``*.png`` and ``*.webp`` below a folder; the alpha channel is kept soft."""

    kind = "cutouts"
    suffixes: tuple[str, ...] = (".png", ".webp")

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
            if path.suffix.lower() in self.suffixes
        )
        if not self._records:
            raise InvalidInputError(f"source {spec}: no {' or '.join(self.suffixes)} below {root}")

    def records(self, shard: int) -> Sequence[str]:
        """All files."""
        return self._records

    def cut_out(self, key: str) -> CutOut:
        """Reads one file (see `CutOutSource.cut_out`)."""
        path = self._root / key
        rgba = decode_rgba(read_bytes(path, key), path, key)
        origin = {"source": self.spec, "kind": self.kind, "record": key}
        return cut_out_from_rgba(rgba, origin, place=(path, key))


def cut_out_from_rgba(
    rgba: np.ndarray, origin: Mapping[str, object], place: tuple[object, object]
) -> CutOut:
    """A cut-out trimmed to where alpha is above 0.

    Args:
        rgba: (H, W, 4) uint8, straight (not premultiplied) alpha.
        origin: provenance.
        place: (file, record) for errors.

    Raises:
        CorruptRecordError: if nothing in it is opaque.
        RejectedError: if it is opaque to the frame (no cut-out), too small, in pieces,
            or all outline (a drawing of lines).
    """
    alpha = rgba[..., 3]
    opaque = (alpha > 127).astype(np.uint8)
    area = int(opaque.sum())
    if area == 0:
        raise CorruptRecordError(*place, "alpha: expected opaque pixels, all are transparent")
    if area < MIN_AREA:
        raise RejectedError("cutout_small")
    if area > 0.98 * opaque.size:
        raise RejectedError("cutout_without_outline")
    if largest_piece_share(opaque) < 0.9:
        raise RejectedError("cutout_in_pieces")
    if solidity(opaque) < MIN_SOLIDITY:
        raise RejectedError("cutout_thin")
    x, y, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    crop = rgba[y : y + height, x : x + width]
    return CutOut(
        rgb=np.ascontiguousarray(crop[..., :3]),
        alpha=crop[..., 3].astype(np.float32) / np.float32(255),
        soft=True,
        origin=origin,
    )


_LONG_SIDE = 640
_WHITE = 232  # the darkest channel of the ground
_STEP = 3  # by which neighbouring pixels of the ground differ at most


class WhiteGroundFolder(CutOutFolder):
    """Every ``*.jpg`` and ``*.png`` below a folder, cut free of what is white about it."""

    kind = "white"
    suffixes = (".jpg", ".jpeg", ".png")

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
