# SPDX-License-Identifier: Apache-2.0
"""The reference file of a model folder: frames, and what the torch model in fp32 makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError, ManifestError

_MASKS = ("prior_masks", "amodal_masks", "visible_masks", "true_amodal", "true_visible")


@dataclass(frozen=True, eq=False)
class ReferenceFrame:
    """Inputs, what the torch model in fp32 makes of them, and the truth where it is known.

    Attributes:
        image_rgb: (H, W, 3) uint8.
        boxes_xyxy: (N, 4) float32, original pixels.
        prior_masks: (N, H, W) bool, M_spec; an empty one stands for the expanded box.
        amodal_masks: (N, H, W) bool, as decoded.
        visible_masks: (N, H, W) bool.
        predicted_iou: (N,) float32.
        true_amodal: (N, H, W) bool, the objects' whole shapes; None: not known.
        true_visible: (N, H, W) bool, what is visible of them; None: not known.
    """

    image_rgb: np.ndarray
    boxes_xyxy: np.ndarray
    prior_masks: np.ndarray
    amodal_masks: np.ndarray
    visible_masks: np.ndarray
    predicted_iou: np.ndarray
    true_amodal: np.ndarray | None = None
    true_visible: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    def priors(self) -> list[np.ndarray | None]:
        """The prior masks as the predictor takes them."""
        return [mask if mask.any() else None for mask in self.prior_masks]

    def filled(self, rows: int) -> ReferenceFrame:
        """The same with its objects repeated until there are at least so many."""
        index = np.arange(len(self) * -(-rows // len(self))) % len(self)
        values: dict[str, Any] = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for name, value in values.items():
            if name != "image_rgb" and value is not None:
                values[name] = value[index]
        return ReferenceFrame(**values)


Reference = Sequence[ReferenceFrame]


def save_reference(path: str | Path, reference: Reference) -> None:
    """Writes a reference file; images are stored as PNG, masks as packed bits."""
    arrays: dict[str, Any] = {}
    for index, frame in enumerate(reference):
        for entry in fields(frame):
            value = getattr(frame, entry.name)
            if value is None:
                continue
            if entry.name == "image_rgb":
                value = cv2.imencode(".png", value[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
            elif entry.name in _MASKS:
                value = np.packbits(value, axis=-1)
            arrays[f"{index}.{entry.name}"] = value
    np.savez_compressed(path, **arrays)


def load_reference(path: str | Path) -> tuple[ReferenceFrame, ...]:
    """Reads a reference file; one of before frames were numbered holds a single one.

    Raises:
        ManifestError: when it cannot be read, holds no frame or lacks an array.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        frames: dict[str, dict[str, Any]] = {}
        for name, value in found.items():
            index, _, field = name.rpartition(".")
            frames.setdefault(index, {})[field] = value
        if not frames:
            raise ValueError("no frame")
        return tuple(_frame(frames[index]) for index in sorted(frames, key=lambda i: int(i or 0)))
    except (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError, cv2.error) as error:
        raise ManifestError(f"{path}: expected a reference file, got: {error}") from error


def _frame(values: Mapping[str, Any]) -> ReferenceFrame:
    """One frame of its arrays as stored."""
    image = values["image_rgb"]
    if image.ndim != 3:
        image = cv2.imdecode(image, cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError("image_rgb is no image")
        image = np.ascontiguousarray(image[..., ::-1])
    width = image.shape[1]
    masks = {
        name: np.unpackbits(values[name], axis=-1, count=width).astype(bool)
        for name in _MASKS
        if name in values
    }
    return ReferenceFrame(**{**values, "image_rgb": image, **masks})


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and what is asked about it.

    Attributes:
        name: for the report.
        image_rgb: (H, W, 3) uint8.
        boxes_xyxy: (N, 4) float32, original pixels, N at least 1.
        prior_masks: M_spec of each object; None: from its box.
        true_amodal: (N, H, W) bool, the objects' whole shapes; None: not known.
        true_visible: (N, H, W) bool, what is visible of them; None: not known.
    """

    name: str
    image_rgb: np.ndarray
    boxes_xyxy: np.ndarray
    prior_masks: Sequence[np.ndarray | None] | None = None
    true_amodal: np.ndarray | None = None
    true_visible: np.ndarray | None = None

    @classmethod
    def of_reference(cls, frame: ReferenceFrame) -> Scene:
        """The scene of a frame of a model folder's reference."""
        return cls(
            *("reference", frame.image_rgb, frame.boxes_xyxy, tuple(frame.priors())),
            *(frame.true_amodal, frame.true_visible),
        )


def read_scenes(images: Sequence[Path], boxes: Sequence[Sequence[float]]) -> list[Scene]:
    """Reads images; all boxes are asked about in each.

    Args:
        images: files that OpenCV reads.
        boxes: (x0, y0, x1, y1) in pixels.

    Raises:
        InvalidInputError: for an unreadable image, boxes without images or the reverse.
    """
    if (len(images) == 0) != (len(boxes) == 0):
        raise InvalidInputError(
            f"expected images with boxes, got {len(images)} images and {len(boxes)} boxes"
        )
    scenes = []
    for path in images:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
        if image is None:
            raise InvalidInputError(f"{path}: expected an image, cannot read one")
        rgb = np.ascontiguousarray(image[..., ::-1])
        scenes.append(Scene(path.name, rgb, np.asarray(boxes, dtype=np.float32)))
    return scenes
