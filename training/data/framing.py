# SPDX-License-Identifier: Apache-2.0
"""From a picture with masks to the model's input frame, as the predictor does it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.image.boxes import boxes_to_masks, expand_boxes
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.image.masks import mask_box
from amodal_ros.inference.preprocess import preprocess_image
from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD
from training.data.config import DataConfig
from training.data.objects import ObjectMasks
from training.datasets.prior_sampling import PriorSamplingConfig, sample_prior


def photometric(
    image: NDArray[np.uint8], original: NDArray[np.uint8] | None, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Change the look of an image, and of its unoccluded original alike.

    Args:
        image: (H, W, 3) uint8 RGB.
        original: the same or None.
        rng: the only source of randomness.

    Returns:
        Both, changed.
    """
    table = _light_and_colour(rng)
    images: list[NDArray[np.uint8]] = [image] if original is None else [image, original]
    images = [_look_up(picture, table) for picture in images]
    if rng.random() < 0.3:
        sigma = rng.uniform(0.4, 1.4)
        images = [_blur(picture, sigma) for picture in images]
    if rng.random() < 0.3:
        noise = rng.normal(0.0, rng.uniform(2.0, 8.0), size=(*image.shape[:2], 1))
        images = [_add(picture, noise) for picture in images]
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 90))]
        images = [_jpeg(picture, quality) for picture in images]
    if rng.random() < 0.05:
        images = [_grey(picture) for picture in images]
    return images[0], None if original is None else images[1]


def _light_and_colour(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A look-up table (256, 3): gamma, contrast, brightness, white balance."""
    levels = np.linspace(0.0, 1.0, 256)[:, None]
    gamma = np.exp(rng.normal(0.0, 0.2))
    contrast, brightness = np.exp(rng.normal(0.0, 0.15)), rng.normal(0.0, 0.06)
    balance = np.exp(rng.normal(0.0, 0.06, size=3))[None]
    changed = ((levels**gamma - 0.5) * contrast + 0.5 + brightness) * balance
    return np.clip(np.rint(changed * 255), 0, 255).astype(np.uint8)


def _look_up(image: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), table[None]), dtype=np.uint8)


def _blur(image: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)


def _add(image: NDArray[np.uint8], noise: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)


def _jpeg(image: NDArray[np.uint8], options: list[int]) -> NDArray[np.uint8]:
    done, data = cv2.imencode(".jpg", image, options)
    if not done:
        raise OSError(f"OpenCV could not encode a {image.shape} image as JPEG")
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


POINTS = 2  # in the visible region (paper A.2.3)


@dataclass(frozen=True, eq=False)
class Prompted:
    """An object and what the model is told of it, original pixels.

    Attributes:
        masks: of the object.
        prior_mask: (H, W) bool, M_spec.
        box_xyxy: (4,) float32, as a detector would give it.
        points: (2, 2) float32, in the visible region, or None.
    """

    masks: ObjectMasks
    prior_mask: NDArray[np.bool_]
    box_xyxy: NDArray[np.float32]
    points: NDArray[np.float32] | None


def prompt_object(
    masks: ObjectMasks, config: DataConfig, rng: np.random.Generator, with_points: bool
) -> Prompted:
    """Draw box, points and M_spec of an object.

    Args:
        masks: the visible mask must not be empty.
        config: how.
        rng: the only source of randomness.
        with_points: draw points too.
    """
    seen = masks.visible if config.prompt_box == "visible" else masks.amodal
    hw = (seen.shape[0], seen.shape[1])
    if config.prior.kind == "noisy":
        settings = PriorSamplingConfig(
            kind_weights=tuple(config.prior.kind_weights), expand=config.prior.expand
        )
        drawn = sample_prior(masks.amodal, seen, rng, settings, masks.others)
        prior, box = drawn.prior_mask, drawn.box_xyxy
    else:
        box = np.array(mask_box(seen), dtype=np.float32)
        prior = boxes_to_masks(expand_boxes(box[None], config.prior.expand, hw), hw)[0]
        if config.prior.kind == "none":
            prior = np.zeros(hw, dtype=bool)
    points = _points(masks.visible, rng) if with_points else None
    return Prompted(masks, prior, box, points)


def roi_geometry(
    box_xyxy: NDArray[np.float32],
    hw: tuple[int, int],
    config: DataConfig,
    size: int,
    rng: np.random.Generator,
) -> ResizeGeometry:
    """The square that is cut out for an object: the predictor's, but of a drawn size and place."""
    low, high = config.roi_factor
    factor = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    region = expand_boxes(box_xyxy[None], factor)[0]
    side = float(max(region[2] - region[0], region[3] - region[1]))
    shift = rng.normal(0.0, config.roi_shift, size=2) * side if config.roi_shift > 0 else (0, 0)
    moved = region + np.array([shift[0], shift[1]] * 2, dtype=np.float32)
    holds_box = np.concatenate(
        [np.minimum(moved[:2], box_xyxy[:2]), np.maximum(moved[2:], box_xyxy[2:])]
    )
    return ResizeGeometry.roi(hw, holds_box, size)


@dataclass(frozen=True, eq=False)
class FramedObject:
    """An object in the input frame, S its side.

    Attributes:
        prior, amodal, visible, valid, others: (S, S) bool.
        box_xyxy: (4,) float32, what the prompt encoder gets.
        points: (2, 2) float32 or None.
        key: its name.
        whole_known: see `ObjectMasks`.
    """

    prior: NDArray[np.bool_]
    amodal: NDArray[np.bool_]
    visible: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    box_xyxy: NDArray[np.float32]
    points: NDArray[np.float32] | None
    key: str
    others: NDArray[np.bool_]
    whole_known: bool


def frame_object(
    prompted: Prompted, geometry: ResizeGeometry, prompt_expand: float
) -> FramedObject:
    """Carry an object into the input frame."""
    masks, hw = prompted.masks, geometry.original_hw
    others = masks.others
    known = np.ones(hw, dtype=bool) if masks.valid is None else masks.valid
    amodal = mask_to_input(masks.amodal, geometry)
    box = prompted.box_xyxy[None]
    if prompt_expand != 1.0:
        box = expand_boxes(box, prompt_expand, hw)
    return FramedObject(
        prior=geometry.masks_to_input(prompted.prior_mask[None])[0, 0] > 0,
        amodal=amodal,
        visible=mask_to_input(masks.visible, geometry) & amodal,
        valid=geometry.masks_to_input(known[None])[0, 0] > 0,
        box_xyxy=geometry.boxes_to_input(box)[0],
        points=None if prompted.points is None else geometry.points_to_input(prompted.points),
        key=masks.key,
        others=np.zeros_like(amodal) if others is None else mask_to_input(others, geometry),
        whole_known=masks.whole_known,
    )


def image_to_input(image: NDArray[np.uint8], geometry: ResizeGeometry) -> NDArray[np.float32]:
    """(3, S, S) float32, normalised; the predictor's own preprocessing."""
    return np.asarray(preprocess_image(image, geometry, PIXEL_MEAN, PIXEL_STD)[0])


def mask_to_input(mask: NDArray[np.bool_], geometry: ResizeGeometry) -> NDArray[np.bool_]:
    """(S, S) bool: where at least half of an input pixel is covered.

    Smooth where the input magnifies: nearest neighbour would teach the staircase of the original's
    pixels.
    """
    x0, y0, x1, y1 = geometry.source_xyxy
    height, width = geometry.original_hw
    inside = mask[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    margins = max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0)
    region = cv2.copyMakeBorder(inside.astype(np.uint8) * 255, *margins, cv2.BORDER_CONSTANT)
    rows, columns = geometry.content_hw
    shrinks = rows < region.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    framed = np.zeros(geometry.input_hw, dtype=bool)
    framed[:rows, :columns] = cv2.resize(region, (columns, rows), interpolation=method) > 127
    return framed


def _points(visible: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    rows, columns = np.nonzero(visible)
    chosen = rng.integers(rows.size, size=POINTS)
    return (np.stack([columns[chosen], rows[chosen]], axis=1) + 0.5).astype(np.float32)
