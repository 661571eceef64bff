# SPDX-License-Identifier: Apache-2.0
"""Where the demo camera's pictures come from: video file, image, folder of images, camera."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_ASSUMED_FRAME_RATE = 12.0


@dataclass(frozen=True)
class SourceInfo:
    """What is known about a source before it is played.

    Attributes:
        name: For titles and folder names.
        image_hw: Height and width in pixels.
        frame_rate: Pictures per second when played at its own speed.
        frame_count: Number of pictures; None: unknown or endless.
    """

    name: str
    image_hw: tuple[int, int]
    frame_rate: float
    frame_count: int | None


class FrameSource(Protocol):
    """A sequence of pictures, all of one size."""

    @property
    def info(self) -> SourceInfo:
        """Name, size, rate, length."""

    def frames(self) -> Iterator[np.ndarray]:
        """Yields (H, W, 3) uint8 RGB from the first picture on."""


def open_source(text: str) -> FrameSource:
    """Opens what `--source` names and looks at its first picture.

    Args:
        text: Path of a video, an image or a folder of images, or the index of a camera.

    Raises:
        InvalidInputError: Nothing there, or nothing that can be read.
    """
    if re.fullmatch(r"\d+", text) and not Path(text).exists():
        return CameraSource(int(text))
    path = Path(text).expanduser()
    if not path.exists():
        raise InvalidInputError(
            f"source {text!r} does not exist: expected a video file, an image, a folder of "
            "images or the index of a camera"
        )
    if path.is_dir():
        return FolderSource(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource(path)
    return VideoSource(path)


def limited(source: FrameSource, frames: int | None) -> Iterator[np.ndarray]:
    """At most `frames` pictures of a source; a still image is repeated to reach that number."""
    pictures = source.frames()
    if isinstance(source, ImageSource) and frames is not None:
        pictures = chain.from_iterable(repeat(list(pictures)))
    return islice(pictures, frames)


def expected_count(source: FrameSource, frames: int | None) -> int | None:
    """How many pictures `limited` will yield, as far as known."""
    if frames is None or isinstance(source, ImageSource):
        return frames or source.info.frame_count
    count = source.info.frame_count
    return frames if count is None else min(frames, count)


class ImageSource:
    """One picture."""

    def __init__(self, path: Path) -> None:
        self._path = path
        height, width = read_image(path).shape[:2]
        self.info = SourceInfo(path.stem, (height, width), _ASSUMED_FRAME_RATE, 1)

    def frames(self) -> Iterator[np.ndarray]:
        """Yields the picture once."""
        yield read_image(self._path)


class FolderSource:
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

    def frames(self) -> Iterator[np.ndarray]:
        """Yields the pictures.

        Raises:
            InvalidInputError: A file is broken, or its size is not the first one's.
        """
        for path in self._files:
            picture = read_image(path)
            if picture.shape[:2] != self.info.image_hw:
                raise InvalidInputError(
                    f"{path} is {_size(picture.shape[:2])}, expected {_size(self.info.image_hw)} "
                    "as the first picture of the folder"
                )
            yield picture


class VideoSource:
    """A video file, decoded with PyAV."""

    def __init__(self, path: Path) -> None:
        self._path = path
        first = next(self.frames(), None)
        if first is None:
            raise InvalidInputError(f"{path}: the video has no picture")
        with self._open() as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or _ASSUMED_FRAME_RATE)
            count = int(stream.frames) or None
        height, width = first.shape[:2]
        self.info = SourceInfo(path.stem, (height, width), rate, count)

    def frames(self) -> Iterator[np.ndarray]:
        """Yields the pictures.

        Raises:
            InvalidInputError: The file is no video, or broken.
        """
        import av

        with self._open() as container:
            try:
                for frame in container.decode(video=0):
                    yield frame.to_ndarray(format="rgb24")
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


class CameraSource:
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

    def frames(self) -> Iterator[np.ndarray]:
        """Yields pictures until the camera stops."""
        capture = self._open()
        try:
            while True:
                ok, picture = capture.read()
                if not ok:
                    return
                yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self._index)
        if not capture.isOpened():
            raise InvalidInputError(f"camera {self._index} cannot be opened")
        return capture


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


def _size(hw: tuple[int, ...]) -> str:
    return f"{hw[1]}x{hw[0]}"
