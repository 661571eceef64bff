# SPDX-License-Identifier: Apache-2.0
"""A picture strip of a clip: some frames, one row for each variant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.tracking.clips import ClipFrame
from benchmarks.tracking.variants import FrameAnswer

_TILE_WIDTH = 320
_COLOURS = ((66, 135, 245), (245, 130, 48), (60, 180, 75), (230, 25, 75), (145, 30, 180))
_TRUTH = (255, 255, 255)


class Strip:
    """Collects tiles and writes them: visible masks filled, whole shapes and truth outlined."""

    def __init__(self, frames: Sequence[ClipFrame], columns: int = 8) -> None:
        picked = np.linspace(0, len(frames) - 1, min(columns, len(frames))).round().astype(int)
        self._numbers = {frames[k].number for k in picked.tolist()}
        self._rows: dict[str, list[NDArray[np.uint8]]] = {}

    def add(self, name: str, frame: ClipFrame, answer: FrameAnswer) -> None:
        """Draw a variant's answer, if the frame is one of those shown."""
        if frame.number in self._numbers:
            tile = _tile(f"{name} {frame.number}", frame, answer)
            self._rows.setdefault(name, []).append(tile)

    def write(self, path: Path) -> None:
        """Writes the picture, PNG or JPEG by its name."""
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.concatenate([np.concatenate(row, axis=1) for row in self._rows.values()])
        cv2.imwrite(str(path), picture[..., ::-1])


def _tile(text: str, frame: ClipFrame, answer: FrameAnswer) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 RGB."""
    scale = _TILE_WIDTH / frame.hw[1]
    size = (_TILE_WIDTH, max(round(frame.hw[0] * scale), 1))
    shrunk = cv2.resize(frame.image_rgb, size, interpolation=cv2.INTER_AREA)
    tile = np.asarray(shrunk, np.uint8)
    for row, track_id in enumerate(answer.track_ids.tolist()):
        colour = _COLOURS[(track_id if track_id >= 0 else row) % len(_COLOURS)]
        seen = _shrunk(answer.visible_masks[row], size)
        tile[seen] = (0.5 * tile[seen] + 0.5 * np.array(colour)).astype(np.uint8)
        _outline(tile, _shrunk(answer.amodal_masks[row], size), colour)
    for one in frame.objects:
        _outline(tile, _shrunk(one.visible_mask, size), _TRUTH)
    for thickness, shade in ((3, (0, 0, 0)), (1, (255, 255, 255))):
        place = (4, 14)
        cv2.putText(tile, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, shade, thickness)
    return tile


def _shrunk(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    return cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127


def _outline(
    tile: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, int, int]
) -> None:
    found, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(tile, found, -1, colour, 1)
