# SPDX-License-Identifier: Apache-2.0
"""Where the demo camera's pictures come from: video file, image, folder of images, camera.

Recordings: see `bag_source`.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError

CLIP_FOLDER = Path(__file__).resolve().parents[2] / "demo_clip"
CLIP_VIDEO = CLIP_FOLDER / "clip.mp4"  # that comes along
CLIP_ANNOTATIONS = CLIP_FOLDER / "annotations.json"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_ASSUMED_FRAME_RATE = 12.0


@dataclass(frozen=True)
class SourceInfo:
    """What is known about a source before it is played.

    Attributes:
        name: For titles and folder names.
        image_hw: Height and width of the first picture in pixels.
        frame_rate: Pictures per second when played at its own speed, on average.
        frame_count: Number of pictures; None: unknown or endless.
    """

    name: str
    image_hw: tuple[int, int]
    frame_rate: float
    frame_count: int | None


# A picture (H, W, 3) uint8 RGB, and when it was taken in seconds, rising from 0.
TimedPicture = tuple[float, np.ndarray]


class FrameSource(ABC):
    """A sequence of pictures that can be played again and again."""

    info: SourceInfo

    @abstractmethod
    def timed_frames(self) -> Iterator[TimedPicture]:
        """Yields times and pictures from the first picture on."""

    def frames(self) -> Iterator[np.ndarray]:
        """Yields the pictures alone, (H, W, 3) uint8 RGB."""
        return (picture for _, picture in self.timed_frames())


def open_source(text: str) -> FrameSource:
    """Opens what `--source` names and looks at its first picture.

    Args:
        text: Path of a video, an image or a folder of images, or the index of a camera.

    Raises:
        InvalidInputError: Nothing there, or nothing that can be read.
    """
    path = Path(text).expanduser()
    try:
        if re.fullmatch(r"\d+", text) and not path.exists():
            return CameraSource(int(text))
        return _open_path(path, text)
    except OSError as error:
        raise InvalidInputError(f"source {text!r} cannot be read: {error}") from error


def _open_path(path: Path, text: str) -> FrameSource:
    if not path.exists():
        raise InvalidInputError(
            f"source {text!r} does not exist: expected a video file, an image, a folder of "
            "images, a recording (.mcap, .db3) or the index of a camera"
        )
    if path.is_dir():
        return FolderSource(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource(path)
    return VideoSource(path)


def limited(source: FrameSource, frames: int | None) -> Iterator[TimedPicture]:
    """At most `frames` pictures of a source; a still image is repeated to reach that number."""
    if isinstance(source, ImageSource) and frames is not None:
        _, picture = next(source.timed_frames())
        return islice(((number / source.info.frame_rate, picture) for number in count()), frames)
    return islice(source.timed_frames(), frames)


def expected_count(source: FrameSource, frames: int | None) -> int | None:
    """How many pictures `limited` will yield, as far as known."""
    if frames is None or isinstance(source, ImageSource):
        return frames or source.info.frame_count
    count = source.info.frame_count
    return frames if count is None else min(frames, count)


class ImageSource(FrameSource):
    """One picture."""

    def __init__(self, path: Path) -> None:
        self._path = path
        height, width = read_image(path).shape[:2]
        self.info = SourceInfo(path.stem, (height, width), _ASSUMED_FRAME_RATE, 1)

    def timed_frames(self) -> Iterator[TimedPicture]:
        """Yields the picture once."""
        yield 0.0, read_image(self._path)


class FolderSource(FrameSource):
    """The pictures of a folder in natural order (2 before 10); other files are passed over."""

    def __init__(self, folder: Path) -> None:
        files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
        self._files = sorted(files, key=_natural_key)
        if not self._files:
            raise InvalidInputError(
                f"folder {folder} holds no picture: expected files ending in "
                f"{', '.join(IMAGE_SUFFIXES)}"
            )
        height, width = read_image(self._files[0]).shape[:2]
        name = folder.resolve().name
        self.info = SourceInfo(name, (height, width), _ASSUMED_FRAME_RATE, len(self._files))

    def timed_frames(self) -> Iterator[TimedPicture]:
        """Yields the pictures, which may differ in size, evenly.

        Raises:
            InvalidInputError: A file is broken.
        """
        for number, path in enumerate(self._files):
            yield number / self.info.frame_rate, read_image(path)


class VideoSource(FrameSource):
    """A video file, decoded with PyAV."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as container:
            stream = container.streams.video[0]
            self._rate = float(stream.average_rate or _ASSUMED_FRAME_RATE)
            number = int(stream.frames) or None
        first = next(self.frames(), None)
        if first is None:
            raise InvalidInputError(f"{path}: the video has no picture")
        height, width = first.shape[:2]
        self.info = SourceInfo(path.stem, (height, width), self._rate, number)

    def timed_frames(self) -> Iterator[TimedPicture]:
        """Yields the pictures upright, at the times that the file gives them.

        Raises:
            InvalidInputError: The file is no video, or broken.
        """
        import av

        clock = _FrameClock(self._rate)
        with self._open() as container:
            try:
                for frame in container.decode(video=0):
                    yield clock.seconds(frame.time), _upright(frame)
            except av.FFmpegError as error:
                raise InvalidInputError(f"{self._path}: decoding failed: {error}") from error

    def _open(self) -> Any:
        import av

        try:
            container = av.open(str(self._path))
        except (av.FFmpegError, OSError) as error:
            raise InvalidInputError(
                f"{self._path} cannot be read as a video ({error}): expected a video file, an "
                f"image ({', '.join(IMAGE_SUFFIXES)}) or a folder of images"
            ) from error
        # FFmpeg would draw any text file as a terminal ("tty").
        if not container.streams.video or container.format.name == "tty":
            container.close()
            raise InvalidInputError(f"{self._path} has no video stream")
        return container


class CameraSource(FrameSource):
    """A camera of this machine by its index; endless."""

    def __init__(self, index: int) -> None:
        self._index = index
        capture = self._open()
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        ok, picture = capture.read()
        capture.release()
        if not ok:
            raise InvalidInputError(f"camera {index} gives no picture")
        rate = rate if 1.0 <= rate <= 240.0 else _ASSUMED_FRAME_RATE
        height, width = picture.shape[:2]
        self.info = SourceInfo(f"camera{index}", (height, width), rate, None)

    def timed_frames(self) -> Iterator[TimedPicture]:
        """Yields pictures until the camera stops, at the times when they come."""
        capture = self._open()
        started = time.monotonic()
        try:
            while True:
                ok, picture = capture.read()
                if not ok:
                    return
                yield time.monotonic() - started, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self._index)
        if not capture.isOpened():
            raise InvalidInputError(f"camera {self._index} cannot be opened")
        return capture


class _FrameClock:
    """Times of a video's frames from its first one on, rising even where the file's do not."""

    def __init__(self, frame_rate: float) -> None:
        self._period = 1.0 / frame_rate
        self._start: float | None = None
        self._last = -self._period

    def seconds(self, time_in_file: float | None) -> float:
        """The time of the next frame; a frame without one follows after a period."""
        if time_in_file is not None and self._start is None:
            self._start = time_in_file - (self._last + self._period)
        known = None if time_in_file is None else time_in_file - (self._start or 0.0)
        self._last = self._last + self._period if known is None or known <= self._last else known
        return self._last


def _upright(frame: Any) -> np.ndarray:
    """The picture as players show it: a phone notes in the file how it was held."""
    picture: np.ndarray = frame.to_ndarray(format="rgb24")
    quarters = round(frame.rotation / 90) % 4  # counterclockwise
    return np.ascontiguousarray(np.rot90(picture, quarters)) if quarters else picture


def read_image(path: Path) -> np.ndarray:
    """Reads a picture as (H, W, 3) uint8 RGB.

    Raises:
        InvalidInputError: The file is missing or no picture.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error}") from error
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture is None:
        raise InvalidInputError(f"{path} is not a picture that can be read")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    """`img2` before `img10`: digits compare as numbers."""
    pieces = re.findall(r"\d+|\D+", path.name.lower())
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces]
