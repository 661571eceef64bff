# SPDX-License-Identifier: Apache-2.0
"""What of an object is where it should be and has the colours that it had there.

The embeddings of an object change when a hand comes into the picture beside it. Its pixels do not,
where it stays, or moves as is known: what is like them is not hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from amodal_ros.image.cropped import BoxXyxy, CroppedMask
from amodal_ros.tracking.scene import SceneView

_SAME_HUE = 12.0  # distance along Lab's colour axes, of 255
_GREY = 128  # of both axes
_SAME_LIGHT = 60  # of Lab's brightness: a hand throws a shadow
_FEWEST_PIXELS = 8  # of the thumbnail
_RIM = np.ones((3, 3), np.uint8)  # pixels of it that show what lies beside the object, too
_BESIDE = 4  # so many pixels of it about the object are what lies beside it
_TOLD = 0.3  # share of its pixels, from which on it is too much like that
_SHOWN = 0.7  # share of a mask on the object's place that has the object's pixels
_ON_PLACE = 0.5  # share of a mask that lies there
_LEFT = 0.2  # share of the object's pixels from which on it is worth a look


@dataclass(frozen=True, eq=False)
class Pixels:
    """An object's pixels when it was surely seen, in the thumbnail.

    Attributes:
        lab: (h, w, 3) uint8, smoothed.
        under: (h, w) uint8, 1 on the object where it is not grey, without its rim.
        corner_xy: the thumbnail's pixel of their first.
    """

    lab: np.ndarray
    under: np.ndarray
    corner_xy: tuple[int, int]

    @classmethod
    def of(cls, scene: SceneView, mask: CroppedMask) -> Pixels | None:
        """Those under a mask of the original image.

        Grey and black ones do not count: in shadow many things look so. None for hardly any, and
        for those that have much the colours of what lies beside them: an object that its
        background could be taken for, others could be taken for, too.
        """
        height, width = scene.grey.shape
        scale_x, scale_y = scene.scale_xy.tolist()
        left, top, right, bottom = mask.box_xyxy
        x0, y0 = max(int(left / scale_x) - _BESIDE, 0), max(int(top / scale_y) - _BESIDE, 0)
        x1 = min(int(right / scale_x) + 1 + _BESIDE, width)
        y1 = min(int(bottom / scale_y) + 1 + _BESIDE, height)
        if mask.is_empty or x0 >= x1 or y0 >= y1:
            return None
        x = ((np.arange(x0, x1) + 0.5) * scale_x).astype(int)
        y = ((np.arange(y0, y1) + 0.5) * scale_y).astype(int)
        shape = mask.cut((int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1))
        shape = np.ascontiguousarray(shape[np.ix_(y - y[0], x - x[0])]).view(np.uint8)
        lab = _lab(scene, (x0, y0, x1, y1))
        hue = np.hypot(*np.moveaxis(lab[..., 1:].astype(np.int16) - _GREY, -1, 0))
        under, beside = cv2.erode(shape, _RIM) > 0, cv2.dilate(shape, _RIM) == 0
        under &= hue >= _SAME_HUE
        if np.count_nonzero(under) < _FEWEST_PIXELS or not beside.any():
            return None
        background = lab[beside].mean(axis=0).astype(np.int16)
        if _are_same(lab[under], background).mean() >= _TOLD:
            return None
        return cls(lab, under.view(np.uint8), (x0, y0))


@dataclass(frozen=True, eq=False)
class LatePixels:
    """An object's pixels in a frame, taken when they are first asked for.

    While detections say where an object is nobody asks.

    Attributes:
        scene: of the frame.
        mask: of the object in the original image.
    """

    scene: SceneView
    mask: CroppedMask

    @cached_property
    def now(self) -> Pixels | None:
        """The pixels; None: see `Pixels.of`."""
        return Pixels.of(self.scene, self.mask)

    def __getstate__(self) -> dict[str, Pixels | None]:
        """The pixels alone: a tracker that is kept in a file keeps no pictures for them."""
        return {"now": self.now}


@dataclass(frozen=True, eq=False)
class Staying:
    """An object's pixels of some time ago, compared with a frame; worked out when asked for.

    Attributes:
        pixels: of then.
        motion: (2, 3), the object's since, original pixels.
        scene: of the frame.
        image_hw: (height, width) of the original image.
    """

    pixels: Pixels
    motion: np.ndarray
    scene: SceneView
    image_hw: tuple[int, int]

    @cached_property
    def _compared(self) -> tuple[CroppedMask, CroppedMask]:
        """Where the pixels should be, and where they are."""
        nothing = CroppedMask.empty(self.image_hw)
        (height, width), (high, wide) = self.scene.grey.shape, self.pixels.under.shape
        # OpenCV's coordinates are 0 at the middle of the first pixel.
        scale = self.scene.scale_xy
        motion = self.motion[:, :2] * scale / scale[:, None]
        corner = np.array(self.pixels.corner_xy) + 0.5
        shift = motion @ corner + self.motion[:, 2] / scale - 0.5
        ends = motion @ np.array([(0, wide, 0, wide), (0, 0, high, high)]) + shift[:, None]
        x0, y0 = np.floor(ends.min(axis=1)).astype(int).clip(0).tolist()
        x1, y1 = np.ceil(ends.max(axis=1)).astype(int).clip(0, (width, height)).tolist()
        if x0 >= x1 or y0 >= y1:
            return nothing, nothing
        matrix = np.column_stack([motion, shift - (x0, y0)])
        size = x1 - x0, y1 - y0
        lab = cv2.warpAffine(self.pixels.lab, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        under = cv2.warpAffine(self.pixels.under, matrix, size, flags=cv2.INTER_NEAREST) > 0
        box = x0, y0, x1, y1
        same = _are_same(lab, _lab(self.scene, box))
        return self._enlarged(under, box), self._enlarged(under & same, box)

    def _enlarged(self, part: np.ndarray, box: BoxXyxy) -> CroppedMask:
        """A part (h, w) bool of the thumbnail, in original pixels."""
        ends = np.round(np.array(box) * np.tile(self.scene.scale_xy, 2)).astype(int)
        x0, y0, x1, y1 = ends.clip(0, np.tile(self.image_hw[::-1], 2)).tolist()
        size = x1 - x0, y1 - y0
        large = cv2.resize(part.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        return CroppedMask.at(self.image_hw, (x0, y0), large.view(bool))

    def shows(self, mask: CroppedMask) -> bool:
        """Whether a mask, not empty, shows the object's pixels at their place."""
        known, same = self._compared
        on_place = mask.shared(known)
        return on_place >= _ON_PLACE * mask.area and mask.shared(same) >= _SHOWN * on_place

    def box_without(self, others: Sequence[CroppedMask]) -> np.ndarray | None:
        """Box (4,) float64 of the pixels that are there; None for few of them.

        Args:
            others: what is visible of other objects: those pixels are theirs.
        """
        known, same = self._compared
        for other in others:
            same = same - other
        if same.is_empty or same.area < _LEFT * known.area:
            return None
        return np.array(same.box_xyxy, np.float64)


def _are_same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(...) bool, which of the colours (..., 3) of one are the other's, of Lab."""
    light, *hue = np.moveaxis(one.astype(np.int16) - other, -1, 0)
    return np.asarray((np.hypot(*hue) < _SAME_HUE) & (np.abs(light) < _SAME_LIGHT))


def _lab(scene: SceneView, box: BoxXyxy) -> np.ndarray:
    """(h, w, 3) uint8 of a box of the thumbnail, smoothed."""
    x0, y0, x1, y1 = box
    rgb = cv2.GaussianBlur(np.ascontiguousarray(scene.rgb[y0:y1, x0:x1]), (3, 3), 0)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB))
