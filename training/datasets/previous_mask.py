# SPDX-License-Identifier: Apache-2.0
"""M_spec as tracking gives it: the amodal mask predicted in an earlier frame (paper 3.5, A.1.4).

A tracker moves its last trusted mask by the motion it measured, grows it, and hands it on. What
arrives is late and a little off: the object moved on, turned, came nearer; its hidden part was
missed or guessed wrongly; now and then the mask is that of a neighbour. A model that is to take
what is right of such a mask and to leave the rest must see them while it is trained, all from one
still: the true masks stand for the present frame, and what is drawn here for the frame before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.image.masks import dilate_mask, mask_box

_CELLS = 6  # along the longer side of the window: how finely an outline is deformed
_ROOM = 0.75  # of the box's longer side, about it: what of a moved mask is kept


@dataclass(frozen=True)
class PreviousMaskConfig:
    """How far a previous mask strays. Lengths are relative to the square root of its area.

    Attributes:
        pace: range of a factor on all motion, drawn evenly in its logarithm: small is the next
            frame of a quick camera, large is a mask that is late by some frames.
        shift_std: of the shift along x and y, at pace 1.
        turn_std: of the turn in the image plane, degrees, at pace 1.
        scale_std: of the logarithm of the size, along x and y apart (an object that comes nearer,
            or turns in depth), at pace 1.
        border_std: of the displacement of the outline, smooth along it, at pace 1.
        grow: range of the dilation; the tracker's `prior_dilation` lies in the middle.
        hidden_missing: share of masks that hold the visible part alone.
        hidden_wrong: share in which the hidden part was guessed elsewhere.
        part_missing: share that lacks a part, hidden or not.
        wrong: share of masks that belong to a neighbour, or lie elsewhere.
        undetected: share of objects prompted by the tracker's own box, for want of a detection.
    """

    pace: tuple[float, float] = (0.25, 3.0)
    shift_std: float = 0.06
    turn_std: float = 4.0
    scale_std: float = 0.04
    border_std: float = 0.025
    grow: tuple[float, float] = (0.05, 0.15)
    hidden_missing: float = 0.2
    hidden_wrong: float = 0.2
    part_missing: float = 0.1
    wrong: float = 0.1
    undetected: float = 0.3


@dataclass(frozen=True, eq=False)
class PreviousMask:
    """What a tracker would hand on.

    Attributes:
        prior: (H, W) bool; empty where everything moved out of the image.
        seen: (H, W) bool, what was visible, moved likewise: the tracker's box is about it.
    """

    prior: NDArray[np.bool_]
    seen: NDArray[np.bool_]


def previous_mask(
    amodal: NDArray[np.bool_],
    visible: NDArray[np.bool_],
    others: NDArray[np.bool_] | None,
    rng: np.random.Generator,
    config: PreviousMaskConfig,
) -> PreviousMask:
    """Draw the mask of an earlier frame.

    Args:
        amodal: (H, W) bool, the whole object, now.
        visible: (H, W) bool, what is seen of it; not empty.
        others: (H, W) bool, what is seen of other objects; None: not known.
        rng: the only source of randomness.
        config: how far to stray.
    """
    # Decoded run lengths lie column by column, and every step would copy them.
    amodal, visible = np.ascontiguousarray(amodal), np.ascontiguousarray(visible)
    pace = math.exp(rng.uniform(*np.log(config.pace)))
    motion = _Motion.drawn(amodal, pace, rng, config)
    if rng.random() < config.wrong:
        believed = _strange(amodal, others, rng)
    else:
        believed = motion.of(_believed(amodal, visible, rng, config))
    radius = rng.uniform(*config.grow) * math.sqrt(np.count_nonzero(believed))
    return PreviousMask(dilate_mask(believed, radius), motion.of(visible))


def _believed(
    amodal: NDArray[np.bool_],
    visible: NDArray[np.bool_],
    rng: np.random.Generator,
    config: PreviousMaskConfig,
) -> NDArray[np.bool_]:
    """What the model made of the object in that frame, before it moved."""
    drawn = rng.random()
    if drawn < config.hidden_missing:
        return visible
    drawn -= config.hidden_missing
    if drawn < config.hidden_wrong:
        guessed: NDArray[np.bool_] = visible | _Motion.drawn(amodal, 3.0, rng, config).of(amodal)
        return guessed
    drawn -= config.hidden_wrong
    return _with_a_part_missing(amodal, rng) if drawn < config.part_missing else amodal


@dataclass(frozen=True, eq=False)
class _Motion:
    """Where each pixel of a window of the later frame comes from, in pixels of the window.

    Attributes:
        window: rows and columns.
        columns: (h, w) float32.
        rows: likewise.
    """

    window: tuple[slice, slice]
    columns: NDArray[np.float32]
    rows: NDArray[np.float32]

    @classmethod
    def drawn(
        cls,
        mask: NDArray[np.bool_],
        pace: float,
        rng: np.random.Generator,
        config: PreviousMaskConfig,
    ) -> _Motion:
        """A turn, a change of size and a shift about the middle of a mask, and a soft outline."""
        x0, y0, x1, y1 = mask_box(mask)
        side = math.sqrt(np.count_nonzero(mask))
        turn = math.radians(rng.normal(0.0, config.turn_std * pace))
        scale = np.exp(rng.normal(0.0, config.scale_std * pace, size=2))
        shift = rng.normal(0.0, config.shift_std * pace, size=2) * side
        room = int(_ROOM * max(x1 - x0, y1 - y0)) + 1
        left, top = max(x0 - room, 0), max(y0 - room, 0)
        right, bottom = min(x1 + room, mask.shape[1]), min(y1 + room, mask.shape[0])
        size = (right - left, bottom - top)
        cells = [max(2, round(_CELLS * length / max(size))) for length in size]
        soft = rng.normal(0.0, config.border_std * pace * side, size=(2, cells[1], cells[0]))
        soft = soft.astype(np.float32)
        x = np.arange(size[0]) - ((x0 + x1 - 1) / 2 - left) - shift[0]
        y = np.arange(size[1]) - ((y0 + y1 - 1) / 2 - top) - shift[1]
        along, across = math.cos(turn), math.sin(turn)
        # Where each pixel comes from: the turned and scaled grid about the middle of the mask.
        columns, rows = (cv2.resize(part, size, interpolation=cv2.INTER_CUBIC) for part in soft)
        columns += ((along * x / scale[0]) + (x0 + x1 - 1) / 2 - left).astype(np.float32)
        columns += (across * y / scale[0]).astype(np.float32)[:, None]
        rows += (-across * x / scale[1]).astype(np.float32)
        rows += ((along * y / scale[1]) + (y0 + y1 - 1) / 2 - top).astype(np.float32)[:, None]
        return cls((slice(top, bottom), slice(left, right)), columns, rows)

    def of(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask (H, W) bool after the motion; what leaves the window is lost."""
        levels = np.ascontiguousarray(mask[self.window]).view(np.uint8) * np.uint8(255)
        moved = np.zeros_like(mask)
        moved[self.window] = cv2.remap(levels, self.columns, self.rows, cv2.INTER_LINEAR) > 127
        return moved


def _with_a_part_missing(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """The mask without what lies beyond a line across it: a tenth to a half of its area."""
    rows, columns = np.nonzero(mask)
    angle, share = rng.uniform(0.0, 2 * math.pi), rng.uniform(0.1, 0.5)
    height = columns * math.cos(angle) + rows * math.sin(angle)
    keep = height <= np.quantile(height, 1 - share)
    kept = np.zeros_like(mask)
    kept[rows[keep], columns[keep]] = True
    return kept


def _strange(
    amodal: NDArray[np.bool_], others: NDArray[np.bool_] | None, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A neighbour's mask; where there is none, the object's own, half to one and a half away."""
    x0, y0, x1, y1 = mask_box(amodal)
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    if others is not None and others.any():
        count, labels, _, middles = cv2.connectedComponentsWithStats(others.view(np.uint8))
        distance = np.linalg.norm(middles[1:count] - centre, axis=1)
        nearest: NDArray[np.bool_] = labels == 1 + int(distance.argmin())
        return nearest
    angle, far = rng.uniform(0.0, 2 * math.pi), rng.uniform(0.5, 1.5)
    shift = far * max(x1 - x0, y1 - y0) * np.array([math.cos(angle), math.sin(angle)])
    return shifted(amodal, shift[0], shift[1])


def shifted(mask: NDArray[np.bool_], dx: float, dy: float) -> NDArray[np.bool_]:
    """A mask (H, W) moved by pixels; what leaves the picture is lost."""
    matrix = np.array([[1, 0, dx], [0, 1, dy]], dtype=np.float32)
    size = (mask.shape[1], mask.shape[0])
    return cv2.warpAffine(mask.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
