# SPDX-License-Identifier: Apache-2.0
"""Whether a mask of a later frame shows the object whose look is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.tracking.colours import colour_margin, shared_colours
from amodal_ros.tracking.look_memory import Memory
from amodal_ros.tracking.surroundings import LIKE_CELL, Look, Surroundings

if TYPE_CHECKING:
    from amodal_ros.tracking.learning import PendingMemory

_EPSILON = 1e-6
_COLOUR_WEIGHT = 0.5  # of colours beside embeddings, where they tell the object from all around
_SURPLUS = 0.1  # share of colours
_LEARNT_COLOURS = 0.75
LEARNT_CELLS = 0.65  # share of a mask that is learnt: of less a part is something else


@dataclass(frozen=True)
class Likenesses:
    """What a mask must have to show an object, each at least; see `Likeness.shows`.

    Attributes:
        cells: share of it that is like the object.
        mean: cosine of its mean with the object's.
        colours: share of them.
    """

    cells: float
    mean: float
    colours: float


# Measured on four clips of DAVIS and on one of cups and a ball, views up to 60 frames after the
# first. Of masks that show the object the least share of cells is 0.64, the least mean 0.7; of
# parts of cup and hand that come over the ball mostly 0.13 and 0.42 are the most. The whole cup
# reaches 0.8 and 0.76, but shares at most 0.15 of the ball's colours. Half a wooden block and the
# finger that comes over it have a mean of 0.63 and 0.52 of the colours together (another clip).
_GOING_ON = Likenesses(cells=0.5, mean=0.65, colours=0.55)
_FOUND = Likenesses(cells=0.6, mean=0.75, colours=0.55)  # nothing but its look speaks for it


@dataclass(frozen=True, eq=False)
class Likeness:
    """A frame's surroundings of an object, compared with what is known of it.

    Attributes:
        surroundings: of the frame.
        known: the memory of the object, some of which may still have to be learnt.
    """

    surroundings: Surroundings
    known: Memory | PendingMemory

    @classmethod
    def of(
        cls, surroundings: Surroundings | None, known: Memory | PendingMemory | None
    ) -> Likeness | None:
        """None where nothing can be compared."""
        if surroundings is None or known is None:
            return None
        return cls(surroundings, known)

    @property
    def memory(self) -> Memory:
        """Of the object."""
        return self.known.now

    @cached_property
    def embeddings_margin(self) -> np.ndarray:
        """(h, w) float32: how much more a cell is like the object than like what is around it.

        What is unlike all that is known is not like the object.
        """
        memory, least = self.memory, LIKE_CELL * self.memory.first.own
        own, other = self.surroundings.most_like(memory.on, memory.off_parts)
        return np.asarray(own - other.clip(least))

    @cached_property
    def margin(self) -> np.ndarray:
        """(h, w) float32: `embeddings_margin` and, where they tell, colours."""
        return np.asarray(self.embeddings_margin + _COLOUR_WEIGHT * self.colour_margin)

    @cached_property
    def strict_margin(self) -> np.ndarray:
        """(h, w) float32: likewise, but colours only speak against a cell.

        A thing that shows up where a lost object may be may have its colours, too, whatever those
        were that lay around the object.
        """
        return np.asarray(self.embeddings_margin + _COLOUR_WEIGHT * self.colour_margin.clip(max=0))

    @cached_property
    def colour_margin(self) -> np.ndarray:
        """(h, w) float32: see `colour_margin`; 0 where colours are not known."""
        looks, around = (self.memory.first, self.memory.recent), self.surroundings
        own = [one.colours for one in looks if one.colours is not None]
        beside = [one.colours_beside for one in looks if one.colours_beside is not None]
        if not own or not beside or around.scene is None:
            return np.zeros(around.hw, np.float32)
        means = np.mean(own, axis=0), np.mean(beside, axis=0)
        return colour_margin(around.scene, *means, around.box_xyxy, around.hw)

    def shows(self, mask: CroppedMask, *, lost: bool = False) -> bool:
        """Whether a mask shows the object: most of it, its mean and its colours are like it.

        Args:
            mask: what may be visible of it.
            lost: it was not seen in the frame before; then more is asked for.
        """
        look = self.surroundings.look(mask)
        if look is None:
            return False
        least = _FOUND if lost else _GOING_ON
        near = float((self.memory.on @ look.on).max())
        far = float((self.memory.off @ look.on).max())
        if lost and self._has_colours_of_cover(look):
            return False
        return (
            near >= least.mean
            and near > far
            and self.colours(look) >= least.colours
            and self.share(mask, lost=lost) >= least.cells
        )

    def learnt(self, mask: CroppedMask, sights: int) -> Memory:
        """The memory after a mask was seen; of one that takes in something else it is as before.

        Args:
            mask: what is visible of the object.
            sights: see `Memory.after`.
        """
        look = self.surroundings.look(mask)
        if look is None or not self.shows(mask) or self.share(mask) < LEARNT_CELLS:
            return self.memory
        if self.colours(look) < _LEARNT_COLOURS:
            return self.memory
        return self.memory.after(look, sights)

    def share(self, mask: CroppedMask, *, lost: bool = False) -> float:
        """Share of what a mask covers that is like the object; more is asked of a lost one."""
        cover = self.surroundings.cover(mask)
        margin = self.strict_margin if lost else self.margin
        return float(cover[margin > 0].sum() / max(cover.sum(), _EPSILON))

    def mean_margin(self, mask: CroppedMask) -> float:
        """Mean of `margin` under a mask."""
        cover = self.surroundings.cover(mask)
        return float((self.margin * cover).sum() / max(cover.sum(), _EPSILON))

    def unlike(self, part: CroppedMask, mask: CroppedMask) -> CroppedMask:
        """What of a part of a mask is not like the object, to the pixel between cells.

        The mask's rim alone says nothing: the cells there show what lies beside it, too.

        Args:
            part: of the mask.
            mask: of the object.
        """
        if part.is_empty:
            return part
        around = self.surroundings
        (x0, y0, x1, y1), (cell_x, cell_y) = part.box_xyxy, around.cell_px
        left, top = around.box_xyxy[:2]
        # OpenCV's coordinates are 0 at the middle of the first pixel, and of the first cell.
        to_cells = np.array(
            [
                [1 / cell_x, 0.0, (x0 + 0.5 - left) / cell_x - 0.5],
                [0.0, 1 / cell_y, (y0 + 0.5 - top) / cell_y - 0.5],
            ]
        )
        margin = cv2.warpAffine(
            *(self.margin, to_cells, (x1 - x0, y1 - y0)),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        unlike = (part.crop & (margin <= 0)).view(np.uint8)
        wide, high = math.ceil(cell_x / 2), math.ceil(cell_y / 2)
        cell = np.ones((2 * high + 1, 2 * wide + 1), np.uint8)
        shape = mask.cut((x0 - wide, y0 - high, x1 + wide, y1 + high)).view(np.uint8)
        inner: np.ndarray = cv2.erode(shape, cell)[high:-high, wide:-wide]
        near: np.ndarray = cv2.dilate(unlike & inner, cell)
        return CroppedMask.at(part.image_hw, (x0, y0), (unlike & near).view(bool))

    def colours(self, look: Look) -> float:
        """Share of a view's colours that are the object's; 1 where they are not known."""
        known = [one.colours for one in (self.memory.first, self.memory.recent)]
        return max(shared_colours(look.colours, one) for one in known)

    def _has_colours_of_cover(self, look: Look) -> bool:
        """Whether a view has more of the colours of what hid the object than of the object's."""
        cover = self.memory.cover
        if cover is None or cover.colours is None:
            return False
        return shared_colours(look.colours, cover.colours) > self.colours(look) + _SURPLUS
