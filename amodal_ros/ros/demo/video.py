# SPDX-License-Identifier: Apache-2.0
"""Writes pictures as an H.264 video that every player shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

_QUALITY = "19"  # x264's constant rate factor: smaller is better and larger
_TICK = Fraction(1, 90000)  # seconds


class VideoWriter:
    """Encodes picture by picture; the first one gives the size.

    Args:
        path: Of the MP4 file; it is written from the first picture on.
        frame_rate: Pictures per second.
    """

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
