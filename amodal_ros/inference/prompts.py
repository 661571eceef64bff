# SPDX-License-Identifier: Apache-2.0
"""What is asked of the predictor for each object, and the tensors made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amodal_ros.checks import check_array, describe
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import check_boxes, covered_pixels, expand_boxes
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.types import PointPrompt

BOX_CORNER_LABELS = (2.0, 3.0)  # segment_anything's labels of a box's first and second corner
OFF_LABEL = 0.0  # its label of a point off the object
PADDING_LABEL = -1.0  # its label of the point that stands for "no box"


@dataclass(frozen=True, eq=False)
class DecoderPrompts:
    """Prompts of n objects with equally many points.

    Attributes:
        rows: (n,) intp, ascending: which objects.
        coords: (n, P, 2) float32, input pixels.
        labels: (n, P) float32, `segment_anything`'s: 1 on the object, 0 off it, 2 and 3 corners
            of a box, -1 padding.
    """

    rows: np.ndarray
    coords: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class ObjectQueries:
    """N objects to segment in an image; build it with `check_queries`.

    Attributes:
        image_hw: (height, width) of the image.
        boxes_xyxy: (N, 4) float32, original pixels, or None when every object has points only.
        points: N point prompts; None: the object has none.
        prior_masks: N masks of the image (M_spec); None: made from the box.
        tight: (N,) bool, its region is a tight one; see `object_regions`.
    """

    image_hw: tuple[int, int]
    boxes_xyxy: np.ndarray | None
    points: tuple[PointPrompt | None, ...]
    prior_masks: tuple[CroppedMask | None, ...]
    tight: np.ndarray

    def __len__(self) -> int:
        """Number of objects N."""
        return len(self.points)

    def part(self, rows: slice) -> ObjectQueries:
        """Some of the objects."""
        boxes = None if self.boxes_xyxy is None else self.boxes_xyxy[rows]
        return ObjectQueries(
            self.image_hw, boxes, self.points[rows], self.prior_masks[rows], self.tight[rows]
        )

    def chosen(self, rows: np.ndarray) -> ObjectQueries:
        """The objects of some rows (K,)."""
        return self.guided(rows, self.prior_masks)

    def guided(self, rows: np.ndarray, masks: Sequence[CroppedMask | None]) -> ObjectQueries:
        """The objects of some rows (K,), each with its mask of N as M_spec."""
        boxes = None if self.boxes_xyxy is None else self.boxes_xyxy[rows]
        chosen = rows.tolist()
        points = tuple(self.points[row] for row in chosen)
        priors = tuple(masks[row] for row in chosen)
        return ObjectQueries(self.image_hw, boxes, points, priors, self.tight[rows])


def check_queries(
    image_hw: tuple[int, int],
    boxes_xyxy: ArrayLike | None,
    prior_masks: Sequence[np.ndarray | CroppedMask | None] | None,
    points: Sequence[PointPrompt | None] | None,
    tight: ArrayLike | None = None,
) -> ObjectQueries:
    """Checks what was asked of `AmodalPredictor.predict`.

    Raises:
        InvalidInputError: naming the argument, the object's index and what came.
    """
    if boxes_xyxy is None and points is None:
        raise InvalidInputError(
            "boxes_xyxy, points: expected at least one of them, got None twice"
        )
    boxes = None if boxes_xyxy is None else check_boxes("boxes_xyxy", boxes_xyxy, image_hw)
    count = len(points or ()) if boxes is None else len(boxes)
    prompts = (None,) * count if points is None else tuple(points)
    priors = (None,) * count if prior_masks is None else tuple(prior_masks)
    for name, values in (("points", prompts), ("prior_masks", priors)):
        if len(values) != count:
            raise InvalidInputError(f"{name}: expected {count} entries, got {len(values)}")
    for index, prompt in enumerate(prompts):
        _check_points(f"points[{index}]", prompt, image_hw, needed=boxes is None)
    masks = tuple(
        _checked_prior(f"prior_masks[{index}]", prior, image_hw)
        for index, prior in enumerate(priors)
    )
    return ObjectQueries(image_hw, boxes, prompts, masks, check_rows("tight", tight, count))


def check_rows(name: str, values: ArrayLike | None, count: int) -> np.ndarray:
    """Which of N objects something holds for: (N,) bool; None: for none of them.

    Raises:
        InvalidInputError: naming the argument, for another number.
    """
    if values is None:
        return np.zeros(count, bool)
    rows = np.array(values, bool)
    if rows.shape != (count,):
        raise InvalidInputError(f"{name}: expected {count} entries, got {rows.shape}")
    return rows


def _checked_prior(name: str, prior: object, image_hw: tuple[int, int]) -> CroppedMask | None:
    """An M_spec cropped; raises InvalidInputError for an empty one or one of another size."""
    if prior is None:
        return None
    if not isinstance(prior, CroppedMask):
        prior = CroppedMask.of(check_array(name, prior, np.bool_, image_hw))
    if prior.image_hw != tuple(image_hw):
        raise InvalidInputError(f"{name}: expected a mask of {image_hw}, got {prior.image_hw}")
    if prior.is_empty:
        raise InvalidInputError(f"{name}: expected at least one pixel, got an empty mask")
    return prior


def _check_points(name: str, prompt: object, image_hw: tuple[int, int], needed: bool) -> None:
    """Raises InvalidInputError unless `prompt` lies within the image, or is an allowed None."""
    if prompt is None and not needed:
        return
    if not isinstance(prompt, PointPrompt):
        raise InvalidInputError(f"{name}: expected a PointPrompt, got {describe(prompt)}")
    check_points_inside(name, prompt, image_hw)


def check_points_inside(name: str, prompt: PointPrompt, image_hw: tuple[int, int]) -> None:
    """Raises InvalidInputError, naming the first point that lies outside of the image."""
    outside = prompt.coords_xy[~prompt.inside(image_hw)]
    if len(outside):
        height, width = image_hw
        x, y = outside[0]
        raise InvalidInputError(
            f"{name}: expected points within the image of {width}x{height}, got ({x}, {y})"
        )


def prior_tensor(
    queries: ObjectQueries,
    default_boxes: np.ndarray | None,
    geometries: Sequence[ResizeGeometry],
    blank_rows: int = 0,
) -> np.ndarray:
    """Makes the suffix's `prior_masks`: M_spec of each object in its input frame (paper 3.2).

    Args:
        queries: the N objects.
        default_boxes: (N, 4) original pixels: a filled box stands in for a missing prior mask;
            not needed where none is missing.
        geometries: N of them.
        blank_rows: how many empty rows come first, for passes without an M_spec.

    Returns:
        (blank_rows + N, 1, S, S) float32 of 0 and 1.
    """
    tensor = np.zeros((blank_rows + len(queries), 1, *geometries[0].input_hw), dtype=np.float32)
    for row, (prior, geometry) in enumerate(zip(queries.prior_masks, geometries, strict=True)):
        mask = prior
        if mask is None:
            if default_boxes is None:
                raise InvalidInputError(
                    f"default_boxes: expected boxes, object {row} has no prior"
                )
            place = covered_pixels(default_boxes[row], queries.image_hw)
            mask = CroppedMask.filled(queries.image_hw, place)
        geometry.mask_into(mask, tensor[blank_rows + row, 0])
    return tensor


def prior_boxes(boxes_xyxy: np.ndarray, factor: float, image_hw: tuple[int, int]) -> np.ndarray:
    """Boxes of M_spec (N, 4): sides times `factor`; one without area means the whole image."""
    height, width = image_hw
    boxes = np.array(boxes_xyxy, dtype=np.float32)
    boxes[(boxes[:, 2:] <= boxes[:, :2]).any(axis=1)] = (0, 0, width, height)
    return expand_boxes(boxes, factor, image_hw)


def decoder_prompts(
    queries: ObjectQueries, geometries: Sequence[ResizeGeometry], family: str
) -> list[DecoderPrompts]:
    """Makes the decoder's prompts, objects with equally many points together.

    As the official predictors do: with SAM and MobileSAM an object's points come first, then the
    two corners of its box or, without a box, one padding point; with SAM 2 the corners come
    first, then the points, and always a padding point.

    Args:
        queries: the N objects.
        geometries: N of them.
        family: of the manifest.
    """
    count, sam2 = len(queries), family == "sam2"
    prompts = [_object_points(queries, row, geometries[row], sam2) for row in range(count)]
    rows_of: dict[int, list[int]] = {}
    for row, (_, labels) in enumerate(prompts):
        rows_of.setdefault(len(labels), []).append(row)
    return [
        DecoderPrompts(
            np.array(rows, dtype=np.intp),
            np.stack([prompts[row][0] for row in rows]),
            np.stack([prompts[row][1] for row in rows]),
        )
        for rows in rows_of.values()
    ]


def _object_points(
    queries: ObjectQueries, row: int, geometry: ResizeGeometry, sam2: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Input coordinates (P, 2) and labels (P,), float32, of one object."""
    coords, labels = [], []
    prompt = queries.points[row]
    if prompt is not None:
        coords.append(geometry.points_to_input(prompt.coords_xy))
        labels.extend(prompt.labels.tolist())
    if queries.boxes_xyxy is not None:
        place = 0 if sam2 else len(coords)
        coords.insert(place, geometry.points_to_input(queries.boxes_xyxy[row].reshape(2, 2)))
        labels[:] = [*BOX_CORNER_LABELS, *labels] if sam2 else [*labels, *BOX_CORNER_LABELS]
    if sam2 or queries.boxes_xyxy is None:
        coords.append(np.zeros((1, 2), np.float32))
        labels.append(PADDING_LABEL)
    return np.concatenate(coords), np.array(labels, dtype=np.float32)
