# SPDX-License-Identifier: Apache-2.0
"""Writes pictures as an H.264 video that every player shows."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

_QUALITY = "19"  # x264's constant rate factor: smaller is better and larger


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

    def add(self, image_rgb: np.ndarray) -> None:
        """Appends a picture (H, W, 3) uint8 with even sides."""
        import av

        if self._container is None:
            self._container = av.open(str(self._path), "w")
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._stream.height, self._stream.width = image_rgb.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": _QUALITY, "preset": "veryfast"}
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image_rgb), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finishes the file; without a picture there is none."""
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._container = None
