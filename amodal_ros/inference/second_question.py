# SPDX-License-Identifier: Apache-2.0
"""What is seen of an object, asked once more where the first answer is unsteady.

What lies across an object is easily cut out with it. The amodal mask says where something does:
where it goes on, and the visible mask does not. So the decoder is asked again with a point off the
object there, in the middle of the largest such place. The second visible mask is taken where it is
the steadier one, by SAM's own measure: how little of it depends on where its logits are cut off;
unless it fits the box that was asked for worse, as where it has lost the end of a thin thing, or
has lost most of the first, and so is of another thing. The encoder is not run again, and the
amodal mask stays that of the first question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from amodal_ros.image.boxes import box_iou
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.masks import mask_box
from amodal_ros.inference.graph_runner import Decoded
from amodal_ros.inference.prompts import BOX_CORNER_LABELS, OFF_LABEL, DecoderPrompts

_OFFSET = 1.0  # of the logits, to either side of the threshold
_STEADY = 0.85  # a mask that keeps so much of itself between the two is not asked for again
_BETTER = 0.02  # by so much the second mask must be the steadier one
_WORSE_FIT = 0.02  # of the box: about a cell of 4 pixels along one side
_KEPT = 0.5  # of the first mask: less is no correction of it
_HIDDEN_SHARE = 0.03  # of the amodal mask: less is a difference of outlines


def steadiness(logits: np.ndarray, threshold: float) -> np.ndarray:
    """How little masks depend on where their logits are cut off.

    Args:
        logits: (n, 1, s, s) float32.
        threshold: of the masks.

    Returns:
        (n,) in [0, 1]: the area that is left a little above the threshold, over that a little
        below; 1 for an empty mask.
    """
    found = np.ones(len(logits))
    for row, one in enumerate(logits):  # a count of all of an array is far the fastest
        low = np.count_nonzero(one > threshold - _OFFSET)
        if low:
            found[row] = np.count_nonzero(one > threshold + _OFFSET) / low
    return found


def second_prompts(
    first: Decoded,
    prompts: Sequence[DecoderPrompts],
    geometries: Sequence[ResizeGeometry],
    threshold: float,
) -> list[DecoderPrompts]:
    """What is asked again: the prompts of some objects, each with a point off the object.

    Args:
        first: what the decoder gave for n objects, with visible masks.
        prompts: of the n objects.
        geometries: n of them.
        threshold: of the masks.

    Returns:
        Groups with one point more than those given; none where all masks are steady.
    """
    if first.visible_logits is None:
        raise ValueError("second_prompts: expected visible masks, got none")
    unsteady = steadiness(first.visible_logits, threshold) < _STEADY
    points = {
        row: point
        for row in np.flatnonzero(unsteady).tolist()
        if (
            point := _middle_of_hidden(
                first.logits[row, 0] > threshold,
                first.visible_logits[row, 0] > threshold,
                geometries[row],
            )
        )
        is not None
    }
    asked = []
    for group in prompts:
        chosen = [place for place, row in enumerate(group.rows.tolist()) if row in points]
        if not chosen:
            continue
        rows = group.rows[chosen]
        off = np.stack([points[row] for row in rows.tolist()])[:, None]
        label = np.full((len(rows), 1), OFF_LABEL, np.float32)
        # To the decoder prompts are a set: their order changes nothing.
        coords = np.concatenate([group.coords[chosen], off], axis=1)
        labels = np.concatenate([group.labels[chosen], label], axis=1)
        asked.append(DecoderPrompts(rows, coords, labels))
    return asked


def steadier(
    first: Decoded,
    asked: Sequence[DecoderPrompts],
    second: Decoded,
    input_size: int,
    threshold: float,
) -> Decoded:
    """The first answer, with the visible masks of the second that are better.

    Args:
        first: of n objects.
        asked: what was asked again, of k of them.
        second: of those, in the order of their rows.
        input_size: side of the model's input.
        threshold: of the masks.
    """
    if first.visible_logits is None or second.visible_logits is None:
        raise ValueError("steadier: expected visible masks, got none")
    rows = np.sort(np.concatenate([group.rows for group in asked]))
    before, after = first.visible_logits[rows], second.visible_logits
    better = steadiness(after, threshold) > steadiness(before, threshold) + _BETTER
    boxes = {
        row: coords[[labels.tolist().index(label) for label in BOX_CORNER_LABELS]].reshape(4)
        for group in asked
        for row, coords, labels in zip(
            group.rows.tolist(), group.coords, group.labels, strict=True
        )
        if BOX_CORNER_LABELS[0] in labels
    }
    for place in np.flatnonzero(better).tolist():
        old, new = before[place, 0] > threshold, after[place, 0] > threshold
        better[place] = np.count_nonzero(old & new) >= _KEPT * np.count_nonzero(old)
        box = boxes.get(int(rows[place]))
        if box is not None:  # points alone ask for no box
            cells = box * (before.shape[-1] / input_size)
            better[place] &= _fit(new, cells) >= _fit(old, cells) - _WORSE_FIT
    visible = first.visible_logits.copy()
    visible[rows[better]] = after[better]
    return replace(first, visible_logits=visible)


def _fit(mask: np.ndarray, box: np.ndarray) -> float:
    """IoU of a mask's tight box with a box (4,), both in cells."""
    return float(box_iou(np.array([mask_box(mask)], np.float32), box[None])[0, 0])


def _middle_of_hidden(
    amodal: np.ndarray, visible: np.ndarray, geometry: ResizeGeometry
) -> np.ndarray | None:
    """The point farthest inside what a mask hides, (2,) float32 input pixels; None: too little.

    Args:
        amodal: (s, s) bool, over the whole input.
        visible: likewise.
        geometry: what lies outside the image hides nothing.
    """
    cell = geometry.input_hw[0] / len(amodal)
    height, width = geometry.original_hw
    corners = geometry.points_to_input([[0, 0], [width, height]]) / cell
    (left, top), (right, bottom) = np.clip(np.round(corners), 0, len(amodal)).astype(int)
    hidden = np.zeros(amodal.shape, np.uint8)
    inside = slice(top, bottom), slice(left, right)
    hidden[inside] = amodal[inside] & ~visible[inside]
    if np.count_nonzero(hidden) < max(1.0, _HIDDEN_SHARE * np.count_nonzero(amodal[inside])):
        return None
    framed = cv2.copyMakeBorder(hidden, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return ((np.array([column, row]) + 0.5) * cell).astype(np.float32)
