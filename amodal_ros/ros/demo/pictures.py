# SPDX-License-Identifier: Apache-2.0
"""The demo's pictures: frames of the overlay video, the video, and the contact sheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.ros.outputs.overlay import draw_masks, object_colour
from amodal_ros.tracking.tracker import TrackedObject

_FONT = cv2.FONT_HERSHEY_DUPLEX
_INK = (38, 42, 48)
_PAPER = (250, 250, 248)
_PANEL_WIDTH = 560
_MARGIN = 14
_TITLES = ("frame", "visible masks", "amodal masks (hatched: hidden part)")
_SMALLEST_SIDE = 480  # smaller pictures are enlarged, so that labels can be read


def overlay_frame(
    image_rgb: np.ndarray,
    objects: Sequence[TrackedObject] | None,
    names: Mapping[int, str],
    caption: str,
) -> np.ndarray:
    """One frame of the overlay video.

    Args:
        image_rgb: (H, W, 3) uint8.
        objects: The answer to this very frame; None: it was not answered.
        names: Of the tracks.
        caption: Text for the lower left corner.

    Returns:
        (H', W', 3) uint8, sides even as H.264 wants them; small pictures are enlarged.
    """
    height, width = image_rgb.shape[:2]
    scale = max(1.0, _SMALLEST_SIDE / min(height, width))
    size = (round(width * scale) // 2 * 2, round(height * scale) // 2 * 2)
    canvas = cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA if scale == 1 else 1)
    if objects is None:
        canvas = (canvas * 0.55).astype(np.uint8)
        caption += "  no answer"
    else:
        _draw_objects(canvas, objects, names, "amodal")
    _tag(canvas, caption, (6, canvas.shape[0] - 6), (24, 24, 24), (255, 255, 255))
    return canvas


def contact_sheet(
    rows: Sequence[tuple[str, np.ndarray, Sequence[TrackedObject]]],
    names: Mapping[int, str],
    title: str,
) -> np.ndarray:
    """A page with a row for each chosen frame: picture, visible masks, amodal masks.

    Args:
        rows: Label, picture (H, W, 3) uint8 RGB and its objects.
        names: Of the tracks.
        title: Text above everything.

    Returns:
        (H', W', 3) uint8 RGB.
    """
    height, width = rows[0][1].shape[:2]
    panel = (_PANEL_WIDTH, max(round(_PANEL_WIDTH * height / width), 1))
    header, line = 84, panel[1] + _MARGIN
    page = np.empty((header + len(rows) * line, 3 * (panel[0] + _MARGIN) + _MARGIN, 3), np.uint8)
    page[:] = _PAPER
    _write(page, title, (_MARGIN, 32), 0.8)
    for column, text in enumerate(_TITLES):
        _write(page, text, (_MARGIN + column * (panel[0] + _MARGIN), 70), 0.6)
    for row, (label, image_rgb, objects) in enumerate(rows):
        share = min(panel[0] / image_rgb.shape[1], panel[1] / image_rgb.shape[0])
        size = (round(image_rgb.shape[1] * share), round(image_rgb.shape[0] * share))
        small = cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA)
        seen = cv2.cvtColor(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        whole = seen.copy()
        _draw_objects(seen, objects, names, "visible")
        _draw_objects(whole, objects, names, "amodal")
        _tag(small, label, (6, size[1] - 6), (24, 24, 24), (255, 255, 255))
        for column, picture in enumerate((small, seen, whole)):
            x, y = _MARGIN + column * (panel[0] + _MARGIN), header + row * line
            x += (panel[0] - size[0]) // 2
            page[y : y + size[1], x : x + size[0]] = picture
    return page


def choose_rows(frames: Sequence[int], hidden_pixels: Sequence[int], count: int) -> list[int]:
    """Positions of frames for the contact sheet: the first, then the most telling of each stretch.

    Args:
        frames: Frame indices, rising.
        hidden_pixels: Of each frame: how many pixels of its objects are hidden.
        count: How many are wanted.
    """
    if len(frames) <= count:
        return list(range(len(frames)))
    chosen = [0]
    edges = np.linspace(1, len(frames), count).astype(int)
    apart = len(frames) // (2 * count)  # neighbours look the same
    for start, stop in pairwise(edges):
        stretch = range(min(max(start, chosen[-1] + apart), stop - 1), stop)
        by_middle = sorted(stretch, key=lambda position: abs(2 * position - start - stop))
        chosen.append(max(by_middle, key=lambda position: hidden_pixels[position]))
    return chosen


def _draw_objects(
    canvas: np.ndarray, objects: Sequence[TrackedObject], names: Mapping[int, str], kind: str
) -> None:
    """Draws masks and name tags into `canvas` (any size), "visible" or "amodal" ones."""
    hw = canvas.shape[:2]
    drawn = []
    for found in sorted(objects, key=lambda found: found.amodal_box_xyxy[3]):
        amodal = visible = CroppedMask.of(_resized(found.visible_mask, hw))
        if kind == "amodal":
            amodal |= CroppedMask.of(_resized(found.amodal_mask, hw))
        draw_masks(canvas, visible, amodal, object_colour(found.track_id))
        drawn.append((found, amodal))
    taken: list[tuple[int, int, int, int]] = []
    for found, mask in drawn:
        if not mask.is_empty:
            percent = round(100 * found.occlusion_rate) if kind == "amodal" else 0
            # OpenCV's built-in font knows ASCII alone.
            text = names[found.track_id].encode("ascii", "replace").decode()
            text += f" {percent}% hidden" if percent else ""
            place = _free_place(canvas, text, mask.box_xyxy, taken)
            colour = object_colour(found.track_id)
            _tag(canvas, text, place, colour, (255, 255, 255) if sum(colour) < 400 else (0, 0, 0))


def _resized(mask: np.ndarray, hw: tuple[int, ...]) -> np.ndarray:
    if mask.shape == hw:
        return mask
    size = (hw[1], hw[0])
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5


def _text_scale(canvas: np.ndarray) -> float:
    return max(0.42, canvas.shape[0] / 1100)


def _tag_size(canvas: np.ndarray, text: str) -> tuple[int, int]:
    (width, height), baseline = cv2.getTextSize(text, _FONT, _text_scale(canvas), 1)
    return width + 8, height + baseline + 4


def _free_place(
    canvas: np.ndarray,
    text: str,
    box: tuple[int, int, int, int],
    taken: list[tuple[int, int, int, int]],
) -> tuple[int, int]:
    """Lower left corner of a tag above `box`, moved down past the tags that are there already."""
    width, height = _tag_size(canvas, text)
    left = int(np.clip((box[0] + box[2] - width) // 2, 0, max(canvas.shape[1] - width, 0)))
    bottom = int(np.clip(box[1] - 2, height, canvas.shape[0]))
    for _ in range(len(taken)):
        hit = [
            other
            for other in taken
            if left < other[2]
            and other[0] < left + width
            and bottom - height < other[3]
            and other[1] < bottom
        ]
        if not hit:
            break
        bottom = min(hit[0][3] + height + 1, canvas.shape[0])
    taken.append((left, bottom - height, left + width, bottom))
    return left, bottom


def _tag(
    canvas: np.ndarray,
    text: str,
    corner: tuple[int, int],
    fill: tuple[int, int, int],
    ink: tuple[int, int, int],
) -> None:
    """Writes text on a filled box whose lower left corner is `corner`."""
    width, height = _tag_size(canvas, text)
    left, bottom = corner
    top_left, bottom_right = (left, bottom - height), (left + width, bottom)
    cv2.rectangle(canvas, top_left, bottom_right, fill, cv2.FILLED)
    _, baseline = cv2.getTextSize(text, _FONT, _text_scale(canvas), 1)
    place = (left + 4, bottom - baseline - 1)
    cv2.putText(canvas, text, place, _FONT, _text_scale(canvas), ink, 1, cv2.LINE_AA)


def _write(page: np.ndarray, text: str, place: tuple[int, int], scale: float) -> None:
    cv2.putText(page, text, place, _FONT, scale, _INK, 1, cv2.LINE_AA)


_QUALITY = "19"  # x264's constant rate factor: smaller is better and larger
_TICK = Fraction(1, 90000)  # seconds


class VideoWriter:
    """Encodes picture by picture; the first one gives the size."""

    def __init__(self, path: Path, frame_rate: float) -> None:
        self._path = path
        self._rate = Fraction(frame_rate).limit_denominator(1001)
        self._container: Any = None
        self._stream: Any = None
        self._hw: tuple[int, ...] = ()
        self._start, self._ticks = 0.0, -1

    def add(self, image_rgb: np.ndarray, seconds: float) -> None:
        """Appends a picture.

        Args:
            image_rgb: (H, W, 3) uint8 with even sides; where they are not the first picture's, it
                is shown as large as fits, on black.
            seconds: When it is shown; times rise.

        Raises:
            OSError: The file cannot be written.
        """
        import av

        if self._container is None:
            with self._errors():
                self._container = av.open(str(self._path), "w")
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._stream.height, self._stream.width = image_rgb.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": _QUALITY, "preset": "veryfast"}
            self._stream.codec_context.time_base = _TICK
            self._hw, self._start = image_rgb.shape[:2], seconds
        frame = av.VideoFrame.from_ndarray(fitted(image_rgb, self._hw), format="rgb24")
        self._ticks = max(round((seconds - self._start) / _TICK), self._ticks + 1)
        frame.pts, frame.time_base = self._ticks, _TICK
        with self._errors():
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finishes the file; without a picture there is none.

        Raises:
            OSError: The file cannot be written.
        """
        if self._container is not None:
            container, self._container = self._container, None
            with self._errors():
                container.mux(self._stream.encode(None))
                container.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """FFmpeg's errors, not all of which are the system's own, as the system's."""
        import av

        try:
            yield
        except av.FFmpegError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error


def fitted(image_rgb: np.ndarray, hw: tuple[int, ...]) -> np.ndarray:
    """The picture (H, W, 3) uint8 at another size, whole and in its own proportions, on black."""
    height, width = image_rgb.shape[:2]
    if (height, width) == tuple(hw):
        return np.ascontiguousarray(image_rgb)
    scale = min(hw[0] / height, hw[1] / width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    page = np.zeros((*hw, 3), np.uint8)
    top, left = (hw[0] - size[1]) // 2, (hw[1] - size[0]) // 2
    small = cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA)
    page[top : top + size[1], left : left + size[0]] = small
    return page
