# SPDX-License-Identifier: Apache-2.0
"""Check a model folder on the machine where it runs, against the fp32 masks that ship with it.

``python -m amodal_ros.verify [MODEL_DIR]`` exits with 1 when the masks differ too much.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from amodal_ros.errors import AmodalError, ManifestError
from amodal_ros.manifest import default_model_dir
from amodal_ros.predictor import AmodalPredictor

logger = logging.getLogger(__name__)

MIN_MASK_IOU = 0.995
MAX_IOU_ERROR = 0.02


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


@dataclass(frozen=True)
class Comparison:
    """How far an engine is from the reference.

    Attributes:
        amodal_iou: the smallest IoU of an amodal mask with its reference.
        visible_iou: likewise, visible masks.
        predicted_iou_error: the greatest difference of the predicted IoU.
    """

    amodal_iou: float
    visible_iou: float
    predicted_iou_error: float

    def passes(self, min_mask_iou: float, max_iou_error: float) -> bool:
        """Whether all three are within the limits; NaN is not."""
        return (
            min(self.amodal_iou, self.visible_iou) >= min_mask_iou
            and self.predicted_iou_error <= max_iou_error
        )

    def __str__(self) -> str:
        """One line."""
        return (
            f"mask IoU with fp32: amodal {self.amodal_iou:.4f}, visible {self.visible_iou:.4f};"
            f" predicted IoU differs by at most {self.predicted_iou_error:.4f}"
        )


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


def compare(predictor: AmodalPredictor, reference: Reference) -> Comparison:
    """Runs the reference's inputs through a predictor and compares the outcome."""
    features = predictor.encode(reference.image_rgb)
    prediction = predictor.predict(features, reference.boxes_xyxy, reference.priors())
    error = np.abs(prediction.predicted_iou - reference.predicted_iou)
    return Comparison(
        smallest_iou(prediction.raw_amodal_masks, reference.amodal_masks),
        smallest_iou(prediction.visible_masks, reference.visible_masks),
        float(error.max()),
    )


def smallest_iou(masks: np.ndarray, others: np.ndarray) -> float:
    """The smallest IoU of N pairs of masks (N, H, W); two empty masks agree."""
    intersection = np.logical_and(masks, others).sum(axis=(1, 2))
    union = np.logical_or(masks, others).sum(axis=(1, 2))
    return float(np.where(union > 0, intersection / np.maximum(union, 1), 1.0).min())


def verify_model_dir(path: str | Path) -> Comparison:
    """Compares a model folder, on ONNX Runtime's CPU provider, with its own reference file.

    Raises:
        ManifestError: for a folder that is incomplete or altered.
        BackendError: when the engine fails.
    """
    predictor = AmodalPredictor.from_model_dir(path)
    try:
        return compare(predictor, load_reference(predictor.manifest.reference_path))
    finally:
        predictor.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="amodal_ros.verify", description=__doc__)
    parser.add_argument("model_dir", nargs="?", type=Path, help="default: the one that ships")
    parser.add_argument("--min-mask-iou", type=float, default=MIN_MASK_IOU)
    parser.add_argument("--max-iou-error", type=float, default=MAX_IOU_ERROR)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = default_model_dir() if options.model_dir is None else options.model_dir
    try:
        comparison = verify_model_dir(folder)
    except AmodalError as error:
        logger.error("%s", error)
        return 1
    passed = comparison.passes(options.min_mask_iou, options.max_iou_error)
    logger.info("%s: %s", "passed" if passed else "FAILED", comparison)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
