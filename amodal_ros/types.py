# SPDX-License-Identifier: Apache-2.0
"""The values that travel: validated where they are built, N = 0 valid everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from amodal_ros.checks import check_array, check_hw, check_image
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.boxes import as_boxes, check_boxes
from amodal_ros.image.cropped import CroppedMask, full_masks
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.object_features import ObjectFeatures
from amodal_ros.object_memory import ObjectMemory
from amodal_ros.occlusion.graph import OcclusionGraph, occlusion_graph


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in one image.

    Attributes:
        boxes_xyxy: (N, 4) float32, original pixels, finite, x0 < x1 and y0 < y1.
        scores: (N,) float32 in [0, 1].
        class_ids: N class names; empty: unknown.
        detection_ids: N identities given by the detector; empty: none.
        track_ids: (N,) int32, 0 and up: the track that the detection belongs to; -1: not known.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    class_ids: tuple[str, ...]
    detection_ids: tuple[str, ...]
    track_ids: np.ndarray

    def __post_init__(self) -> None:
        """Checks dtypes, lengths and ranges.

        Raises:
            InvalidInputError: naming the field and, for boxes and scores, the index and value.
        """
        count = len(check_array("boxes_xyxy", self.boxes_xyxy, np.float32, (None, 4)))
        check_boxes("boxes_xyxy", self.boxes_xyxy)
        check_array("scores", self.scores, np.float32, (count,))
        check_array("track_ids", self.track_ids, np.int32, (count,))
        for index in np.flatnonzero(~((self.scores >= 0) & (self.scores <= 1))):
            raise InvalidInputError(
                f"scores[{index}]: expected a number in [0, 1], got {self.scores[index]}"
            )
        for index in np.flatnonzero(self.track_ids < -1):
            raise InvalidInputError(
                f"track_ids[{index}]: expected -1 or more, got {self.track_ids[index]}"
            )
        for name in ("class_ids", "detection_ids"):
            _check_strings(name, getattr(self, name), count)

    @classmethod
    def from_boxes(
        cls,
        boxes_xyxy: Any,
        scores: Any = None,
        class_ids: Sequence[str] | None = None,
        detection_ids: Sequence[str] | None = None,
        track_ids: Any = None,
    ) -> Detections:
        """Builds detections from anything array-like; left out: score 1, no class, no identity.

        Raises:
            InvalidInputError: see `__post_init__`.
        """
        boxes = as_boxes(
            "boxes_xyxy", np.asarray(boxes_xyxy) if len(boxes_xyxy) else np.zeros((0, 4))
        )
        count = len(boxes)
        return cls(
            boxes,
            np.ones(count, np.float32) if scores is None else np.asarray(scores, np.float32),
            ("",) * count if class_ids is None else tuple(class_ids),
            ("",) * count if detection_ids is None else tuple(detection_ids),
            np.full(count, -1, np.int32) if track_ids is None else np.asarray(track_ids, np.int32),
        )

    @classmethod
    def empty(cls) -> Detections:
        """No detection at all."""
        return cls.from_boxes(())

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    def select(self, index: Any) -> Detections:
        """The detections at `index`: whole numbers (K,), or a mask (N,) bool."""
        rows = np.arange(len(self))[index]
        return Detections(
            self.boxes_xyxy[rows],
            self.scores[rows],
            tuple(self.class_ids[row] for row in rows),
            tuple(self.detection_ids[row] for row in rows),
            self.track_ids[rows],
        )


def _check_strings(name: str, values: object, count: int) -> None:
    """Raises InvalidInputError unless `values` is a tuple of `count` strings."""
    if not isinstance(values, tuple) or not all(isinstance(value, str) for value in values):
        raise InvalidInputError(f"{name}: expected a tuple of strings, got {values!r}")
    if len(values) != count:
        raise InvalidInputError(f"{name}: expected {count} strings, got {len(values)}")


@dataclass(frozen=True, eq=False)
class PointPrompt:
    """Points of one object.

    Attributes:
        coords_xy: (P, 2) float32, original pixels, P >= 1.
        labels: (P,) int32: 1 on the object, 0 off it; at least one is 1.
    """

    coords_xy: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        """Checks dtypes, lengths and values.

        Raises:
            InvalidInputError: naming the field and what came.
        """
        count = len(check_array("coords_xy", self.coords_xy, np.float32, (None, 2)))
        check_array("labels", self.labels, np.int32, (count,))
        if not np.isfinite(self.coords_xy).all():
            raise InvalidInputError(
                f"coords_xy: expected finite pixels, got {self.coords_xy.tolist()}"
            )
        if not np.isin(self.labels, (0, 1)).all() or not (self.labels == 1).any():
            raise InvalidInputError(
                f"labels: expected 0 and 1, at least one of them 1, got {self.labels.tolist()}"
            )

    @classmethod
    def from_points(cls, coords_xy: Any, labels: Any = None) -> PointPrompt:
        """Builds a prompt from anything array-like; without labels all are on the object."""
        coords = np.asarray(coords_xy, dtype=np.float32).reshape(-1, 2)
        if labels is None:
            return cls(coords, np.ones(len(coords), np.int32))
        return cls(coords, np.asarray(labels, np.int32))

    def inside(self, image_hw: tuple[int, int]) -> np.ndarray:
        """(P,) bool: which points lie within an image of that height and width."""
        x, y = self.coords_xy.T
        height, width = image_hw
        return (x >= 0) & (x <= width) & (y >= 0) & (y <= height)


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """An image, encoded once and given to every later call.

    Attributes:
        features: with a model of mode `full` what the prefix computed, (1, C, h, w); else None.
        image: with mode `roi`, where `predict` crops and encodes, (H, W, 3) uint8 RGB; else None.
        geometry: with mode `full` how the image lies in the model's input; else None.
        original_hw: (height, width) of the image.
        timings_ms: what `encode` spent, in milliseconds: `preprocess`, `prefix`.
    """

    features: np.ndarray | None
    image: np.ndarray | None
    geometry: ResizeGeometry | None
    original_hw: tuple[int, int]
    timings_ms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks that it holds either features and geometry, or an image, of one size.

        Raises:
            InvalidInputError: when it holds both, none, or sizes differ.
        """
        hw = check_hw("original_hw", self.original_hw)
        if self.image is None:
            if self.features is None or self.geometry is None:
                raise InvalidInputError(
                    "ImageFeatures: expected features and geometry, or an image"
                )
            found = self.geometry.original_hw
        else:
            if self.features is not None or self.geometry is not None:
                raise InvalidInputError(
                    "ImageFeatures: expected either features or an image, got both"
                )
            found = check_image(self.image).shape[:2]
        if found != hw:
            raise InvalidInputError(f"ImageFeatures: expected size {hw} throughout, got {found}")

    @property
    def encoded(self) -> tuple[np.ndarray, ResizeGeometry]:
        """Features and geometry, with a model of mode `full`.

        Raises:
            InvalidInputError: when the image has not been encoded.
        """
        if self.features is None or self.geometry is None:
            raise InvalidInputError("ImageFeatures: expected an encoded image, got an image")
        return self.features, self.geometry


@dataclass(frozen=True, eq=False)
class AmodalPrediction:
    """Visible and amodal masks of N objects in one image of H x W pixels.

    Masks are cropped to their boxes. `raw_amodal_masks` and the like, (N, H, W) bool, are made
    when they are first asked for: at 1280x720 that costs 0.9 MB an object.

    Attributes:
        image_hw: (height, width) of the image.
        raw_amodal: N masks of that size, as decoded.
        visible: N masks, from the same pass; with a model that gives the amodal mask alone, from
            one with adapter gain 0.
        predicted_iou: (N,) float32, the decoder's estimate for the amodal mask.
        timings_ms: what `predict` spent, in milliseconds: `prior`, `suffix`, `decoder`,
            `postprocess` (with mode `roi` also `preprocess` and `prefix`).
        features: of the objects' surroundings; None: not known.
        second_looks: how many of the objects were looked at twice (`inference/second_look.py`);
            `timings_ms` holds both looks.
        remembered: what the model remembers of the N objects after this image; empty: it was not
            asked to follow them.
    """

    image_hw: tuple[int, int]
    raw_amodal: tuple[CroppedMask, ...]
    visible: tuple[CroppedMask, ...]
    predicted_iou: np.ndarray
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    features: ObjectFeatures | None = None
    second_looks: int = 0
    remembered: tuple[ObjectMemory, ...] = ()

    def __post_init__(self) -> None:
        """Checks that number and sizes agree.

        Raises:
            InvalidInputError: naming the field and what came.
        """
        hw = check_hw("image_hw", self.image_hw)
        count = len(check_array("predicted_iou", self.predicted_iou, np.float32, (None,)))
        for name in ("raw_amodal", "visible"):
            sizes = [mask.image_hw for mask in getattr(self, name)]
            if sizes != [hw] * count:
                raise InvalidInputError(f"{name}: expected {count} masks of {hw}, got {sizes}")
        if len(self.remembered) not in (0, count):
            raise InvalidInputError(
                f"remembered: expected none or {count}, got {len(self.remembered)}"
            )

    @classmethod
    def from_masks(
        cls,
        raw_amodal_masks: np.ndarray,
        visible_masks: np.ndarray,
        predicted_iou: np.ndarray,
        timings_ms: Mapping[str, float] | None = None,
        features: ObjectFeatures | None = None,
    ) -> AmodalPrediction:
        """That of masks (N, H, W) bool.

        Raises:
            InvalidInputError: naming the argument and what came.
        """
        shape = check_array(
            "raw_amodal_masks", raw_amodal_masks, np.bool_, (None, None, None)
        ).shape
        check_array("visible_masks", visible_masks, np.bool_, shape)
        raw, visible = (
            tuple(CroppedMask.of(mask) for mask in masks)
            for masks in (raw_amodal_masks, visible_masks)
        )
        return cls(shape[1:], raw, visible, predicted_iou, dict(timings_ms or {}), features)

    @classmethod
    def empty(
        cls, image_hw: tuple[int, int], timings_ms: Mapping[str, float] | None = None
    ) -> AmodalPrediction:
        """The answer for no object at all."""
        hw = check_hw("image_hw", image_hw)
        return cls(hw, (), (), np.zeros(0, np.float32), dict(timings_ms or {}))

    def with_rows(self, rows: np.ndarray, other: AmodalPrediction) -> AmodalPrediction:
        """This prediction, with another one's K objects in some rows (K,); the times add up."""
        raw, visible = list(self.raw_amodal), list(self.visible)
        iou = self.predicted_iou.copy()
        for place, row in enumerate(rows.tolist()):
            raw[row], visible[row] = other.raw_amodal[place], other.visible[place]
        iou[rows] = other.predicted_iou
        names = [*self.timings_ms, *other.timings_ms]
        times = {
            name: self.timings_ms.get(name, 0.0) + other.timings_ms.get(name, 0.0)
            for name in names
        }
        features = None
        if self.features is not None and other.features is not None:
            features = self.features.with_rows(rows, other.features)
        looks = self.second_looks + other.second_looks
        return AmodalPrediction(
            *(self.image_hw, tuple(raw), tuple(visible), iou, times, features, looks),
            remembered=self.remembered,
        )

    def __len__(self) -> int:
        return len(self.raw_amodal)

    @cached_property
    def amodal(self) -> tuple[CroppedMask, ...]:
        """Raw amodal or visible: visible is inside amodal by construction."""
        return tuple(raw | seen for raw, seen in zip(self.raw_amodal, self.visible, strict=True))

    @cached_property
    def raw_amodal_masks(self) -> np.ndarray:
        """(N, H, W) bool of `raw_amodal`."""
        return full_masks(self.raw_amodal, self.image_hw)

    @cached_property
    def visible_masks(self) -> np.ndarray:
        """(N, H, W) bool of `visible`."""
        return full_masks(self.visible, self.image_hw)

    @cached_property
    def amodal_masks(self) -> np.ndarray:
        """(N, H, W) bool of `amodal`."""
        return full_masks(self.amodal, self.image_hw)

    @cached_property
    def occlusion_rate(self) -> np.ndarray:
        """1 - |visible| / |amodal|, (N,) float32 in [0, 1]; 0 for an empty amodal mask."""
        amodal, visible = (
            np.array([mask.area for mask in masks], np.int64)
            for masks in (self.amodal, self.visible)
        )
        return ((amodal - visible) / np.maximum(amodal, 1)).astype(np.float32)

    def occlusion(self, depth_m: np.ndarray | None = None, upright: bool = True) -> OcclusionGraph:
        """Who hides whom; its visible masks share no pixel, as those here may.

        Args:
            depth_m: (H, W) float32 of the image, metres, NaN where unknown; None: there is none.
            upright: whether the image's lower side is the ground's.
        """
        return occlusion_graph(self.visible, self.amodal, depth_m, upright)
