# SPDX-License-Identifier: Apache-2.0
"""The preview sheet: composites as they are, and beside each its masks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from training.taos.shards import read_shard, shard_files
from training.taos.types import TaosSample

_COLUMNS = 8
_CELL_HW = (168, 224)
_GREEN, _RED, _BLUE = (60, 220, 90), (235, 60, 50), (70, 130, 255)


def preview_sheet(samples: Sequence[TaosSample]) -> np.ndarray:
    """Composites (64, usually) on one sheet.

    Left in each cell the occluded image; right the same with the target's whole outline
    (green), its hidden part (red) and what was pasted (blue).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    cells = [_cell(sample) for sample in samples]
    blank = np.full((_CELL_HW[0], 2 * _CELL_HW[1], 3), 255, np.uint8)
    columns = min(_COLUMNS, max(1, len(cells)))
    cells += [blank] * (-len(cells) % columns)
    gap = 6
    framed = [
        cv2.copyMakeBorder(c, 0, gap, 0, gap, cv2.BORDER_CONSTANT, value=(255,) * 3) for c in cells
    ]
    rows = [np.hstack(framed[i : i + columns]) for i in range(0, len(framed), columns)]
    return np.vstack(rows)


def write_preview(folder: Path, path: Path, count: int) -> None:
    """Writes the sheet of `count` composites of a folder of shards.

    Stills are taken in order; of clips every few frames, so that several clips are seen.
    """
    samples = (
        sample
        for shard in shard_files(folder)
        for sample in read_shard(shard)
        if sample.provenance.get("frame", 0) % 3 == 0
    )
    sheet = preview_sheet(list(itertools.islice(samples, count)))
    done, data = cv2.imencode(".png", sheet[..., ::-1])
    if not done:
        raise OSError(f"OpenCV could not encode the preview sheet {sheet.shape}")
    path.write_bytes(data.tobytes())


def _cell(sample: TaosSample) -> np.ndarray:
    marked = sample.image.astype(np.float32)
    for mask, colour, weight in ((sample.occluder, _BLUE, 0.25), (sample.occlusion, _RED, 0.4)):
        marked[mask] += weight * (np.array(colour, np.float32) - marked[mask])
    marked8 = marked.astype(np.uint8)
    outlines, _ = cv2.findContours(
        sample.amodal.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    width = max(1, round(max(sample.amodal.shape) / 220))
    cv2.drawContours(marked8, outlines, -1, _GREEN, width)
    return np.hstack([_fit(sample.image), _fit(marked8)])


def _fit(image: np.ndarray) -> np.ndarray:
    """Shrinks into a cell, centred on light grey."""
    scale = min(_CELL_HW[0] / image.shape[0], _CELL_HW[1] / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    cell = np.full((*_CELL_HW, 3), 235, np.uint8)
    y, x = (_CELL_HW[0] - size[1]) // 2, (_CELL_HW[1] - size[0]) // 2
    cell[y : y + size[1], x : x + size[0]] = small
    return cell
