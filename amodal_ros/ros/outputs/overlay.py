# SPDX-License-Identifier: Apache-2.0
"""Draws visible and amodal masks over a picture: numpy and OpenCV alone."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.cropped import CroppedMask, box_about
from amodal_ros.tracking.tracker import TrackedObject

# Well apart for neighbours in number, readable on dark and bright pictures. RGB. Beyond it hues go
# on by the golden angle, which never comes back to one.
PALETTE: tuple[tuple[int, int, int], ...] = (
    (230, 80, 60),
    (60, 150, 240),
    (70, 190, 90),
    (240, 170, 40),
    (170, 90, 220),
    (40, 200, 200),
    (240, 110, 180),
    (150, 150, 60),
)
_GOLDEN = (5**0.5 - 1) / 2
_SATURATION_AND_VALUE = 0.7, 0.9
_VISIBLE_OPACITY = 0.45
_HIDDEN_OPACITY = 0.20
_HATCH_OPACITY = 0.85
_HATCH_PERIOD_PX = 8
_HATCH_WIDTH_PX = 2
_OUTLINE_PX = 2


def object_colour(track_id: int) -> tuple[int, int, int]:
    """RGB colour of a track: the same in every frame, and in every run."""
    if track_id < len(PALETTE):
        return PALETTE[track_id % len(PALETTE)]
    hue = track_id * _GOLDEN % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, *_SATURATION_AND_VALUE)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_overlay(image_rgb: np.ndarray, objects: Sequence[TrackedObject]) -> np.ndarray:
    """Draw every object: visible part tinted, hidden part hatched, amodal outline, label.

    Args:
        image_rgb: (H, W, 3) uint8; not changed.
        objects: with masks of its size.

    Returns:
        (H, W, 3) uint8, a new picture.

    Raises:
        InvalidInputError: if a mask has another size than the picture.
    """
    canvas = image_rgb.copy()
    for drawn in objects:
        _check_size(image_rgb, drawn)
        draw_masks(canvas, drawn.visible, drawn.amodal, object_colour(drawn.track_id))
    for drawn in objects:  # above all masks
        _draw_label(canvas, drawn)
    return canvas


def draw_masks(
    canvas: np.ndarray,
    visible: CroppedMask,
    amodal: CroppedMask,
    colour: tuple[int, int, int],
) -> None:
    """Draw one object's masks into a picture: tint, hatching of the hidden part, outline.

    Args:
        canvas: (H, W, 3) uint8 RGB, drawn into.
        visible: of its size.
        amodal: likewise.
        colour: RGB.
    """
    x0, y0, x1, y1 = box = box_about(amodal.box_xyxy, visible.box_xyxy)
    if x0 == x1:
        return
    window = canvas[y0:y1, x0:x1]
    seen, whole = visible.cut(box), amodal.cut(box)
    hidden = whole & ~seen
    _tint(window, seen, colour, _VISIBLE_OPACITY)
    _tint(window, hidden, colour, _HIDDEN_OPACITY)
    # Anchored to the picture, not to the object, so that the hatching does not swim with it.
    rows, columns = np.ogrid[y0:y1, x0:x1]
    hatch = (rows + columns) % _HATCH_PERIOD_PX < _HATCH_WIDTH_PX
    _tint(window, hidden & hatch, colour, _HATCH_OPACITY)
    _outline(window, whole, colour)


def label_of(drawn: TrackedObject) -> str:
    """Track, class, predicted IoU, and whether the object's place is only predicted."""
    parts = [f"#{drawn.track_id}"] if drawn.track_id >= 0 else []
    if drawn.class_id:
        # OpenCV's built-in font knows ASCII alone.
        parts.append(drawn.class_id.encode("ascii", "replace").decode())
    parts.append(f"{drawn.predicted_iou:.2f}")
    if drawn.coasting:
        parts.append("coasting")
    return " ".join(parts)


def _check_size(image_rgb: np.ndarray, drawn: TrackedObject) -> None:
    for mask in (drawn.visible, drawn.amodal):
        if mask.image_hw != image_rgb.shape[:2]:
            raise InvalidInputError(
                f"mask {mask.image_hw} on a picture {image_rgb.shape[:2]}: sizes must be equal"
            )


def _tint(
    window: np.ndarray, where: np.ndarray, colour: tuple[int, int, int], opacity: float
) -> None:
    tinted = cv2.LUT(window, _blend_table(colour, opacity))
    cv2.copyTo(tinted, np.ascontiguousarray(where).view(np.uint8), window)


def _blend_table(colour: tuple[int, int, int], opacity: float) -> np.ndarray:
    """(1, 256, 3) uint8: what becomes of each value of each channel."""
    values = np.arange(256, dtype=np.float32)[None, :, None]
    return np.round(values * (1.0 - opacity) + np.array(colour, np.float32) * opacity).astype(
        np.uint8
    )


def _outline(window: np.ndarray, amodal: np.ndarray, colour: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(
        np.ascontiguousarray(amodal).view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(window, contours, -1, colour, _OUTLINE_PX)


def _draw_label(canvas: np.ndarray, drawn: TrackedObject) -> None:
    x0, y0, x1, _ = box_about(drawn.amodal.box_xyxy, drawn.visible.box_xyxy)
    if x0 == x1:
        return
    height, width = canvas.shape[:2]
    scale = max(0.4, height / 1200)
    text = label_of(drawn)
    (text_width, text_height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    left = int(np.clip(x0, 0, max(width - text_width - 4, 0)))
    bottom = int(np.clip(y0 - baseline, text_height + 2, max(height - baseline - 1, 0)))
    colour = object_colour(drawn.track_id)
    cv2.rectangle(
        canvas,
        (left, bottom - text_height - 2),
        (left + text_width + 4, bottom + baseline),
        colour,
        cv2.FILLED,
    )
    cv2.putText(
        canvas,
        text,
        (left + 2, bottom),
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        (255, 255, 255) if sum(colour) < 420 else (0, 0, 0),
        1,
        cv2.LINE_AA,
    )
