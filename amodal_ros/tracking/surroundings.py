# SPDX-License-Identifier: Apache-2.0
"""The encoder's embeddings about an object in one frame, and what a mask among them looks like.

Embeddings of one picture have much in common: two unlike things beside each other have a cosine
of 0.7 and more. So they are compared after the mean of what lies around is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.object_features import ObjectFeatures
from amodal_ros.tracking.colours import colours_in, colours_of
from amodal_ros.tracking.scene import SceneView

# Cosine of a cell that is like the object, over that of the object's own cells; measured as the
# marks in `appearance.py`.
LIKE_CELL = 0.6
_TWIN = 0.8  # likewise, of a cell beside the object that may show a thing of its kind
_REACH = 2.0  # so many sides of its box around an object are looked at, where all is encoded
_OFF = 0.1  # a cell of which less is covered belongs to the surroundings
_FEWEST_OFF = 8  # cells; where less lies on one side of the object, all that is around it counts
_FEWEST_CELLS = 0.5  # of the grid; fewer say nothing
_EPSILON = 1e-6
_TILES = 4  # along each axis of the window: each is half as long as the object
_FEWEST_IN_TILE = 3  # cells; fewer are a seam
_SAMPLES = 4  # of a cell along each axis, for the share of it that a mask covers


@dataclass(frozen=True, eq=False)
class Look:
    """One view of an object: unit vectors, without what all that is around has in common.

    Attributes:
        on: (C,) float32, mean of the embeddings under its visible mask.
        off: (4, C) float32, means of those above, below, to the left and to the right of it,
            without what is like it.
        off_parts: (Q, C) float32, means of what lies beside it in single tiles of the window,
            without what is like it: a hand is not lost in the mean of the table it comes over.
        own: mean cosine of its cells with `on`: less for an object of many parts.
        colours: see `colours_of`; None: not known.
        colours_beside: of what lies beside it, without what is like it; None: not known.
    """

    on: np.ndarray
    off: np.ndarray
    off_parts: np.ndarray
    own: float
    colours: np.ndarray | None
    colours_beside: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The embeddings about an object in one frame; cut out when they are first asked for.

    Attributes:
        values: (C, s, s) float32, as the encoder gave them.
        geometry: how the image lies in them.
        prompt_xyxy: (4,) original pixels, the object's prompt box.
        scene: of the frame, for colours; None: they are not known.
    """

    values: np.ndarray
    geometry: ResizeGeometry
    prompt_xyxy: np.ndarray
    scene: SceneView | None
    _covers: dict[CroppedMask, np.ndarray] = field(default_factory=dict, init=False, repr=False)
    _looks: dict[CroppedMask, Look | None] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(
        cls,
        features: ObjectFeatures | None,
        row: int,
        box_xyxy: np.ndarray,
        scene: SceneView | None = None,
    ) -> Surroundings | None:
        """Those of one object, about its prompt box (4,); None where no features are known."""
        return None if features is None else cls(*features.of(row), box_xyxy, scene)

    @cached_property
    def _window(self) -> tuple[np.ndarray, np.ndarray]:
        """(2, 2) whole cells x0, y0 and x1, y1 that are looked at; (2,) original pixels of one."""
        (scale_x, scale_y), limits = self.geometry.scale_xy, np.array(self.values.shape[:0:-1])
        cell = np.array(self.geometry.input_hw[::-1]) / limits / (scale_x, scale_y)
        low, high = self.prompt_xyxy[:2], self.prompt_xyxy[2:]
        middle = (low + high) / 2 - self.geometry.source_xyxy[:2]
        reach = _REACH * (high - low).max() / 2
        first = np.floor((middle - reach) / cell).clip(0, limits - 1)
        past = np.ceil((middle + reach) / cell).clip(first + 1, limits)
        return np.array([first, past]).astype(int), cell

    @cached_property
    def cells(self) -> np.ndarray:
        """(C, h * w) float32: the embeddings."""
        (left, top), (right, bottom) = self._window[0].tolist()
        return self.values[:, top:bottom, left:right].reshape(len(self.values), -1)

    @cached_property
    def hw(self) -> tuple[int, int]:
        """(h, w): number of cells."""
        (left, top), (right, bottom) = self._window[0].tolist()
        return bottom - top, right - left

    @cached_property
    def box_xyxy(self) -> np.ndarray:
        """(4,) float64 original pixels that the cells cover; it may leave the image."""
        window, cell = self._window
        return np.asarray((self.geometry.source_xyxy[:2] + window * cell).ravel())

    @property
    def image_hw(self) -> tuple[int, int]:
        """(height, width) of the image."""
        return self.geometry.original_hw

    @cached_property
    def scale(self) -> np.ndarray:
        """(h, w) float32, what makes a unit vector of each cell."""
        squares = np.einsum("cn,cn->n", self.cells, self.cells)
        return (1 / (np.sqrt(squares) + _EPSILON)).reshape(self.hw)

    @cached_property
    def cell_px(self) -> np.ndarray:
        """(2,) width and height of a cell, original pixels."""
        return (self.box_xyxy[2:] - self.box_xyxy[:2]) / self.hw[::-1]

    def cover(self, mask: CroppedMask) -> np.ndarray:
        """(h, w) float32: the share of each cell that a mask covers; found once for each mask."""
        if mask not in self._covers:
            self._covers[mask] = self._cover(mask)
        return self._covers[mask]

    def look(self, mask: CroppedMask) -> Look | None:
        """How the object with this mask looks; None for hardly a cell; found once for each."""
        if mask not in self._looks:
            self._looks[mask] = self._look(mask, self.cover(mask))
        return self._looks[mask]

    def _cover(self, mask: CroppedMask) -> np.ndarray:
        """By samples of each cell."""
        x0, y0, x1, y1 = np.round(self.box_xyxy).astype(int).tolist()
        crop, (height, width) = mask.cut((x0, y0, x1, y1)).view(np.uint8), self.hw
        fine = _SAMPLES * width, _SAMPLES * height
        samples = cv2.resize(crop, fine, interpolation=cv2.INTER_NEAREST) * np.uint8(255)
        cover = cv2.resize(samples, (width, height), interpolation=cv2.INTER_AREA)
        return cover.astype(np.float32) / 255

    @cached_property
    def inside(self) -> np.ndarray:
        """(h, w) bool: which cells have their middles in the image."""
        (height, width), (cell_x, cell_y) = self.hw, self.cell_px
        x = self.box_xyxy[0] + (np.arange(width) + 0.5) * cell_x
        y = self.box_xyxy[1] + (np.arange(height) + 0.5) * cell_y
        rows, columns = (y > 0) & (y < self.image_hw[0]), (x > 0) & (x < self.image_hw[1])
        return np.asarray(rows[:, None] & columns)

    @cached_property
    def common(self) -> np.ndarray:
        """(C,) float32: mean of the cells in the image, each a unit vector."""
        weights = (self.scale * self.inside).ravel()
        # As a plain number: divided by NumPy's integers they would be float64.
        return np.asarray(self.cells @ weights / max(int(np.count_nonzero(self.inside)), 1))

    def _look(self, mask: CroppedMask, cover: np.ndarray) -> Look | None:
        beside = (cover < _OFF) & self.inside
        if cover.sum() < _FEWEST_CELLS or not beside.any():
            return None
        on = self._means(cover.reshape(1, -1))[0]
        like = self.likeness(on)
        own = float((like * cover).sum() / cover.sum())
        # A thing like it that stands beside it does not say what it is not.
        unlike = beside & (like < _TWIN * own)
        off = unlike if unlike.any() else beside
        sides = [off & side for side in _sides_of(cover)]
        sides = [off if np.count_nonzero(side) < _FEWEST_OFF else side for side in sides]
        colours = beside_it = None
        if self.scene is not None:
            colours = colours_of(self.scene, mask)
            beside_it = colours_in(self.scene, off, self.box_xyxy)
        means = self._means(np.concatenate([np.array(sides).reshape(4, -1), _in_tiles(off)]))
        return Look(on, means[:4], means[4:], own, colours, beside_it)

    def _means(self, weights: np.ndarray) -> np.ndarray:
        """(K, C) float32, unit vectors: means of cells by weights (K, h * w), common mean off."""
        weights = weights.astype(np.float32, copy=False)
        # The other way round, and not transposed, the product takes half as long again.
        sums = (self.cells @ (weights * self.scale.ravel()).T).T
        return unit(sums / weights.sum(axis=1)[:, None] - self.common)

    def likeness(self, vector: np.ndarray) -> np.ndarray:
        """(h, w) float32: cosine of each cell with a unit vector (C,), the common mean off."""
        return self.most_like(vector[None])[0]

    def most_like(self, *groups: np.ndarray) -> list[np.ndarray]:
        """Greatest such cosine of each cell with one of a group of unit vectors (K, C).

        Returns:
            (h, w) float32 for each group.
        """
        # All in one product: that with the common mean tells how long cells are without it.
        vectors = np.concatenate([*groups, self.common[None]])
        found = vectors @ self.cells
        found *= self.scale.ravel()  # in place: these arrays are large
        along = vectors @ self.common
        lengths = np.sqrt((1 - 2 * found[-1] + along[-1]).clip(_EPSILON))
        found -= along[:, None]
        ends = np.cumsum([len(one) for one in groups])
        return [
            np.asarray((one.max(axis=0) / lengths).reshape(self.hw))
            for one in np.split(found, ends)[:-1]
        ]


def unit(vector: np.ndarray) -> np.ndarray:
    """(..., C) float32 of length 1."""
    length = np.linalg.norm(vector, axis=-1, keepdims=True) + _EPSILON
    return np.asarray(vector / length, np.float32)


def _sides_of(cover: np.ndarray) -> list[np.ndarray]:
    """(h, w) bool four times: above, below, left and right of the middle of what is covered."""
    height, width = cover.shape
    total = cover.sum()
    down = np.arange(height)[:, None] - (cover.sum(axis=1) @ np.arange(height)) / total
    right = np.arange(width)[None] - (cover.sum(axis=0) @ np.arange(width)) / total
    upright = np.abs(down) >= np.abs(right)
    return [
        upright & (down < 0),
        upright & (down >= 0),
        ~upright & (right < 0),
        ~upright & (right >= 0),
    ]


@lru_cache(maxsize=64)
def _tiles(height: int, width: int) -> np.ndarray:
    """(T, h * w) float32: 1 for the cells of each tile of a window, else 0."""
    rows = np.arange(height) * _TILES // height
    columns = np.arange(width) * _TILES // width
    tiles = (rows[:, None] * _TILES + columns[None]).ravel()
    return np.asarray(tiles == np.arange(_TILES**2)[:, None], np.float32)


def _in_tiles(chosen: np.ndarray) -> np.ndarray:
    """(Q, h * w) float32: chosen cells (h, w) bool, of each tile alone that has enough of them."""
    tiles, cells = _tiles(*chosen.shape), chosen.ravel().astype(np.float32)
    return np.asarray(tiles[tiles @ cells >= _FEWEST_IN_TILE] * cells)
