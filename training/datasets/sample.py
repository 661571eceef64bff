# SPDX-License-Identifier: Apache-2.0
"""The one sample type that every dataset yields, and what can be wrong with a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amodal_ros.errors import AmodalError
from amodal_ros.image.masks import mask_box
from training.untrusted import CorruptRecordError


class DatasetError(AmodalError, ValueError):
    """A whole dataset cannot be used: no such folder, a file of another layout, unsafe content."""


@contextmanager
def reading_record(file: Path, record: str) -> Iterator[None]:
    """Turn whatever a malformed record provokes into a `CorruptRecordError` that names it."""
    try:
        yield
    except (DatasetError, CorruptRecordError):
        raise
    except KeyError as error:
        raise CorruptRecordError(file, record, f"has no key {error}") from error
    except (TypeError, ValueError, IndexError, AttributeError, OSError) as error:
        raise CorruptRecordError(file, record, str(error) or type(error).__name__) from error


@dataclass(frozen=True)
class Provenance:
    """Where a sample comes from: the annotation file and the record in it."""

    file: Path
    record: str

    def __str__(self) -> str:
        return f"{self.file}: {self.record}"


@dataclass(frozen=True)
class ImageFile:
    """An image on disk, read only when asked for.

    Attributes:
        path: the file.
        hw: height and width in pixels, as its header says.
    """

    path: Path
    hw: tuple[int, int]

    @classmethod
    def open(
        cls, path: Path, expected_hw: tuple[int, int] | None, provenance: Provenance
    ) -> ImageFile:
        """Read the header and compare its size with what the annotation says (None: says nothing).

        Raises:
            CorruptRecordError: missing, unreadable, or of another size.
        """
        hw = _header_size(path, provenance)
        if expected_hw is not None and hw != tuple(expected_hw):
            raise CorruptRecordError(
                provenance.file,
                provenance.record,
                f"image {path} is {hw[1]}x{hw[0]}, the annotation says "
                f"{expected_hw[1]}x{expected_hw[0]}",
            )
        return cls(path=path, hw=hw)

    def load(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, pixels as stored (no EXIF rotation: masks know of none).

        Raises:
            CorruptRecordError: the pixels cannot be decoded.
        """
        try:
            with Image.open(self.path) as image:
                if image.mode.startswith(("I", "F")):
                    return self._from_16_bits(np.asarray(image))
                return np.asarray(image.convert("RGB"), dtype=np.uint8)
        except (OSError, SyntaxError) as error:
            raise CorruptRecordError(self.path, "image", f"cannot be decoded: {error}") from error

    def _from_16_bits(self, grey: NDArray[Any]) -> NDArray[np.uint8]:
        """Grey of 16 bits as RGB of 8; Pillow itself would clip it at 255, to white."""
        if grey.dtype.kind not in "iu" or grey.min() < 0 or grey.max() > 0xFFFF:
            raise CorruptRecordError(
                self.path, "image", f"expected 8 or 16 bits a channel, got {grey.dtype}"
            )
        return np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)


@dataclass(frozen=True, eq=False)
class AmodalSample:
    """One object in one image.

    Attributes:
        image: the image, read lazily; RGB.
        amodal_mask: (H, W) bool, the whole object, never empty.
        visible_mask: (H, W) bool, what of it can be seen; empty if it is fully hidden.
        category_id: as in the file; None where the dataset has no categories.
        category_name: its name, or the id as text, or "".
        image_id: unique in the dataset.
        instance_id: unique in the dataset.
        provenance: annotation file and record.
        video_id: the video this image is a frame of, if any.
        frame: its number in the video.
        track_id: the object's identity over the frames of the video.
        loss_mask: (H, W) bool, True where the object's extent is certain from what is visible
            (video datasets); None where the dataset has none.
    """

    image: ImageFile
    amodal_mask: NDArray[np.bool_]
    visible_mask: NDArray[np.bool_]
    category_id: int | str | None
    category_name: str
    image_id: int | str
    instance_id: int | str
    provenance: Provenance
    video_id: int | str | None = None
    frame: int | None = None
    track_id: int | str | None = None
    loss_mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Refuse masks that do not fit the image or a sample without an object."""
        masks = {"amodal": self.amodal_mask, "visible": self.visible_mask, "loss": self.loss_mask}
        for name, mask in masks.items():
            if mask is not None and (mask.dtype != np.bool_ or mask.shape != self.image.hw):
                self._refuse(
                    f"{name} mask is {mask.dtype} {mask.shape}, expected bool {self.image.hw}"
                )
        if not self.amodal_mask.any():
            self._refuse("the amodal mask is empty")

    @cached_property
    def amodal_box_xyxy(self) -> NDArray[np.float32]:
        """(4,) float32 tight box of the amodal mask, half-open original pixels."""
        return np.array(mask_box(self.amodal_mask), dtype=np.float32)

    @cached_property
    def visible_box_xyxy(self) -> NDArray[np.float32] | None:
        """(4,) float32 tight box of the visible mask; None for a fully hidden object."""
        if not self.visible_mask.any():
            return None
        return np.array(mask_box(self.visible_mask), dtype=np.float32)

    @cached_property
    def occlusion_rate(self) -> float:
        """Hidden share of the object, in [0, 1]."""
        hidden = np.count_nonzero(self.amodal_mask & ~self.visible_mask)
        return hidden / int(np.count_nonzero(self.amodal_mask))

    def _refuse(self, reason: str) -> None:
        raise CorruptRecordError(self.provenance.file, self.provenance.record, reason)


def _header_size(path: Path, provenance: Provenance) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            width, height = image.size
    except FileNotFoundError as error:
        raise CorruptRecordError(
            provenance.file, provenance.record, f"image {path} does not exist"
        ) from error
    except (OSError, SyntaxError) as error:
        raise CorruptRecordError(
            provenance.file, provenance.record, f"image {path} cannot be read: {error}"
        ) from error
    return height, width
