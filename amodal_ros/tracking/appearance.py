# SPDX-License-Identifier: Apache-2.0
"""What an object looks like: means of the encoder's embeddings, on it and around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from amodal_ros.types import ObjectFeatures

_REACH = 2.0  # so many sides of its box around an object are looked at, where all is encoded
_OFF = 0.1  # a cell of which less is covered belongs to the surroundings
_INSIDE = 0.9  # least share of a cell inside the image
_FEWEST_CELLS = 0.5  # of the grid; fewer say nothing
_SHARE_OF_NEW = 0.2
# Measured on four real clips with the model that ships, views up to 60 frames apart: of masks that
# show the object mostly, 0.72 and 0.86 were the least; of others, 0.71 and 0.90 the most, and both
# only of things of its kind beside it.
_LIKE_CELLS = 0.6
_LIKE_MEAN = 0.8


@dataclass(frozen=True, eq=False)
class Look:
    """One view of an object: unit vectors (C,) float32.

    Attributes:
        on: mean of the embeddings under its visible mask.
        off: mean of those around it.
    """

    on: np.ndarray
    off: np.ndarray


@dataclass(frozen=True, eq=False)
class Memory:
    """How an object looked when it was surely seen.

    Attributes:
        first: at first.
        recent: lately; it follows slowly.
    """

    first: Look
    recent: Look

    def after(self, look: Look) -> Memory:
        """The memory after another sure view."""
        return Memory(
            self.first,
            Look(_mixed(self.recent.on, look.on), _mixed(self.recent.off, look.off)),
        )


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The embeddings about an object in one frame.

    Attributes:
        cells: (C, h, w) float32, each cell a unit vector.
        box_xyxy: (4,) float64 original pixels that the cells cover; it may leave the image.
        image_hw: (height, width).
    """

    cells: np.ndarray
    box_xyxy: np.ndarray
    image_hw: tuple[int, int]

    @classmethod
    def of(
        cls, features: ObjectFeatures | None, row: int, box_xyxy: np.ndarray
    ) -> Surroundings | None:
        """Those of one object, about its prompt box (4,); None where no features are known."""
        if features is None:
            return None
        values, geometry = features.of(row)
        (scale_x, scale_y), corner = geometry.scale_xy, np.array(geometry.source_xyxy[:2], float)
        side = np.array([geometry.input_hw[1], geometry.input_hw[0]]) / values.shape[:0:-1]
        cell = side / (scale_x, scale_y)  # in original pixels
        middle, half = (box_xyxy[:2] + box_xyxy[2:]) / 2, (box_xyxy[2:] - box_xyxy[:2]) / 2
        limits = np.array(values.shape[:0:-1])
        low = np.floor((middle - _REACH * half.max() - corner) / cell).clip(0, limits - 1)
        high = np.ceil((middle + _REACH * half.max() - corner) / cell).clip(low + 1, limits)
        (left, top), (right, bottom) = low.astype(int), high.astype(int)
        window = values[:, top:bottom, left:right]
        length = np.sqrt(np.einsum("chw,chw->hw", window, window)) + 1e-6
        box = np.concatenate([corner + low * cell, corner + high * cell])
        return cls(window / length, box, geometry.original_hw)

    @property
    def cell_px(self) -> np.ndarray:
        """(2,) width and height of a cell, original pixels."""
        return (self.box_xyxy[2:] - self.box_xyxy[:2]) / self.cells.shape[:0:-1]

    def cover(self, mask: np.ndarray) -> np.ndarray:
        """(h, w) float32: the share of each cell that a mask (H, W) bool covers."""
        height, width = self.image_hw
        x0, y0, x1, y1 = np.round(self.box_xyxy).astype(int)
        crop = mask[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)].view(np.uint8) * np.uint8(
            255
        )
        edges = max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0)
        if any(edges):
            crop = cv2.copyMakeBorder(crop, *edges, cv2.BORDER_CONSTANT, value=0)
        size = self.cells.shape[:0:-1]
        return cv2.resize(crop, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255

    @cached_property
    def inside(self) -> np.ndarray:
        """(h, w) bool: which cells lie in the image."""
        return self.cover(np.ones(self.image_hw, bool)) >= _INSIDE

    def look(self, cover: np.ndarray) -> Look | None:
        """How the object whose mask covers the cells so looks; None for hardly a cell."""
        off = (cover < _OFF) & self.inside
        if cover.sum() < _FEWEST_CELLS or not off.any():
            return None
        on = np.einsum("chw,hw->c", self.cells, cover)
        return Look(_unit(on), _unit(np.einsum("chw,hw->c", self.cells, off.astype(np.float32))))

    def margin(self, memory: Memory) -> np.ndarray:
        """(h, w) float32: how much more a cell is like the object than like what is around it."""
        vectors = np.stack(
            [memory.first.on, memory.recent.on, memory.first.off, memory.recent.off]
        )
        likeness = np.tensordot(vectors, self.cells, axes=1)
        return np.asarray(likeness[:2].max(axis=0) - likeness[2:].max(axis=0))


@dataclass(frozen=True, eq=False)
class Likeness:
    """A frame's surroundings of an object, compared with what is known of it.

    Attributes:
        surroundings: of the frame.
        memory: of the object.
        margin: see `Surroundings.margin`.
    """

    surroundings: Surroundings
    memory: Memory
    margin: np.ndarray

    @classmethod
    def of(cls, surroundings: Surroundings | None, memory: Memory | None) -> Likeness | None:
        """None where nothing can be compared."""
        if surroundings is None or memory is None:
            return None
        return cls(surroundings, memory, surroundings.margin(memory))

    def shows(self, mask: np.ndarray) -> bool:
        """Whether a mask (H, W) bool shows the object: most of it, and its mean, look like it."""
        cover = self.surroundings.cover(mask)
        look = self.surroundings.look(cover)
        if look is None:
            return False
        share = float(cover[self.margin > 0].sum() / cover.sum())
        near, far = (
            max(float(view @ look.on) for view in views)
            for views in (
                (self.memory.first.on, self.memory.recent.on),
                (self.memory.first.off, self.memory.recent.off),
            )
        )
        return share >= _LIKE_CELLS and near >= _LIKE_MEAN and near > far

    def places(self, fewest: float) -> list[np.ndarray]:
        """Boxes (4,) float64 where the object may be, likeliest first: joined cells like it.

        Args:
            fewest: least number of cells.
        """
        like = ((self.margin > 0) & self.surroundings.inside).astype(np.uint8)
        count, parts = cv2.connectedComponents(like, connectivity=4)
        found = []
        for part in range(1, count):
            cells = parts == part
            if cells.sum() >= fewest:
                found.append((float(self.margin[cells].mean()), self._box(cells)))
        return [box for _, box in sorted(found, key=lambda item: -item[0])]

    def _box(self, cells: np.ndarray) -> np.ndarray:
        """(4,) original pixels of the cells (h, w) bool; zeros for none."""
        rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
        if not len(rows):
            return np.zeros(4)
        low = self.surroundings.box_xyxy[:2] + (columns[0], rows[0]) * self.surroundings.cell_px
        high = self.surroundings.box_xyxy[:2] + (
            (columns[-1] + 1, rows[-1] + 1) * self.surroundings.cell_px
        )
        return np.concatenate([low, high])


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-6), np.float32)


def _mixed(known: np.ndarray, new: np.ndarray) -> np.ndarray:
    return _unit((1 - _SHARE_OF_NEW) * known + _SHARE_OF_NEW * new)
