# SPDX-License-Identifier: Apache-2.0
"""Folders of RGBA cut-outs (PNG or WebP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError
from training.taos.pieces import largest_piece_share, solidity
from training.taos.sources.base import CutOutSource
from training.taos.types import CutOut
from training.untrusted import CorruptRecordError, RejectedError, decode_rgba, read_bytes

MIN_AREA = 24 * 24
MIN_SOLIDITY = 0.3


class CutOutFolder(CutOutSource):
    """Every ``*.png`` and ``*.webp`` below a folder; the alpha channel is kept soft."""

    kind = "cutouts"

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
            if path.suffix.lower() in (".png", ".webp")
        )
        if not self._records:
            raise InvalidInputError(f"source {spec}: no .png or .webp below {root}")

    def pool(self, shard: int) -> Sequence[str]:
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
