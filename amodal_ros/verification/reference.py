# SPDX-License-Identifier: Apache-2.0
"""The reference file of a model folder: inputs, and what the torch model in fp32 makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from amodal_ros.errors import ManifestError


@dataclass(frozen=True, eq=False)
class Reference:
    """Inputs, and what the torch model in fp32 makes of them.

    Attributes:
        image_rgb: (H, W, 3) uint8.
        boxes_xyxy: (N, 4) float32, original pixels.
        prior_masks: (N, H, W) bool, M_spec; an empty one stands for the expanded box.
        amodal_masks: (N, H, W) bool, as decoded.
        visible_masks: (N, H, W) bool.
        predicted_iou: (N,) float32.
    """

    image_rgb: np.ndarray
    boxes_xyxy: np.ndarray
    prior_masks: np.ndarray
    amodal_masks: np.ndarray
    visible_masks: np.ndarray
    predicted_iou: np.ndarray

    def priors(self) -> list[np.ndarray | None]:
        """The prior masks as the predictor takes them."""
        return [mask if mask.any() else None for mask in self.prior_masks]


def save_reference(path: str | Path, reference: Reference) -> None:
    """Writes a reference file; masks are stored as packed bits."""
    packed: dict[str, Any] = {
        name: np.packbits(getattr(reference, name), axis=-1)
        for name in ("prior_masks", "amodal_masks", "visible_masks")
    }
    np.savez_compressed(
        path,
        image_rgb=reference.image_rgb,
        boxes_xyxy=reference.boxes_xyxy,
        predicted_iou=reference.predicted_iou,
        **packed,
    )


def load_reference(path: str | Path) -> Reference:
    """Reads a reference file.

    Raises:
        ManifestError: when it cannot be read or lacks an array.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            values = {name: arrays[name] for name in arrays.files}
        width = values["image_rgb"].shape[1]
        for name in ("prior_masks", "amodal_masks", "visible_masks"):
            values[name] = np.unpackbits(values[name], axis=-1, count=width).astype(bool)
        return Reference(**values)
    except (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{path}: expected a reference file, got: {error}") from error
