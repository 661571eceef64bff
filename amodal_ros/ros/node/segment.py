# SPDX-License-Identifier: Apache-2.0
"""What the services ask of the model: boxes and points of requests, checked, and their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.node.model_host import Predictor
from amodal_ros.ros.watch.plausibility import normalised_request
from amodal_ros.tracking.tracker import TrackedObject
from amodal_ros.types import AmodalPrediction, PointPrompt

# The masks of all objects are in memory at once.
MOST_OBJECTS = 256


@dataclass(frozen=True, eq=False)
class PromptedObjects:
    """Objects of one image: first those with a box, then those given by points alone.

    Attributes:
        boxes_xyxy: (B, 4) float32, pixels.
        points: of all N objects; None: none, for objects with a box.
    """

    boxes_xyxy: np.ndarray
    points: tuple[PointPrompt | None, ...]

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def from_fields(
        cls,
        boxes_xyxy: Any,
        points_xy: Any,
        point_labels: Any,
        point_owners: Any,
    ) -> PromptedObjects:
        """Read the fields of a ``SegmentAmodal`` request.

        Raises:
            InvalidInputError: naming the field, what was expected and what came.
        """
        boxes = np.array(boxes_xyxy, np.float32)
        points = np.array(points_xy, np.float32)
        labels = np.array(point_labels, np.int32)
        owners = np.array(point_owners, np.int64)
        if boxes.size % 4:
            raise InvalidInputError(f"boxes_xyxy: expected 4 numbers a box, got {boxes.size}")
        if points.size != 2 * labels.size or labels.size != owners.size:
            raise InvalidInputError(
                "expected 2 numbers of points_xy, a label and an owner for each point, got "
                f"{points.size}, {labels.size} and {owners.size}"
            )
        boxes, points = boxes.reshape(-1, 4), points.reshape(-1, 2)
        count = max(len(boxes), int(owners.max(initial=-1)) + 1)
        if not 0 < count <= MOST_OBJECTS:
            raise InvalidInputError(f"expected 1 to {MOST_OBJECTS} objects, got {count}")
        ownerless = sorted(set(range(len(boxes), count)) - set(owners.tolist()))
        if ownerless:
            raise InvalidInputError(
                f"point_owners: object {ownerless[0]} has neither box nor point; objects given by "
                "points alone are numbered without a gap, after the boxes"
            )
        prompts = tuple(
            PointPrompt(points[owners == index], labels[owners == index])
            if (owners == index).any()
            else None
            for index in range(count)
        )
        return cls(boxes, prompts)

    def refuse_parts(self, image_hw: tuple[int, int] | None) -> None:
        """Refuse boxes and points of 0..1.

        Args:
            image_hw: height and width of the image that they belong to; None: not known.

        Raises:
            InvalidInputError: if they are no pixels.
        """
        points = np.concatenate(
            [np.zeros((0, 2)), *(prompt.coords_xy for prompt in self.points if prompt is not None)]
        )
        wrong = normalised_request(self.boxes_xyxy, points, image_hw)
        if wrong is not None:
            raise InvalidInputError(wrong)

    @classmethod
    def of_one(cls, box_xyxy: Any, points_xy: Any, point_labels: Any) -> PromptedObjects:
        """Read the fields of an ``AddObject`` request: one object.

        Raises:
            InvalidInputError: naming the field, what was expected and what came.
        """
        if len(points_xy) != 2 * len(point_labels):
            raise InvalidInputError(
                "expected 2 numbers of points_xy and a label for each point, got "
                f"{len(points_xy)} and {len(point_labels)}"
            )
        return cls.from_fields(box_xyxy, points_xy, point_labels, [0] * len(point_labels))


def segment(
    predictor: Predictor, image_rgb: np.ndarray, objects: PromptedObjects
) -> tuple[TrackedObject, ...]:
    """All objects, in their order; a mask may be empty, ``detection_id`` is the index.

    Raises:
        InvalidInputError: for boxes or points that are faulty or outside the image.
        BackendError: when the engine fails.
    """
    features = predictor.encode(image_rgb)
    with_box = len(objects.boxes_xyxy)
    answered: list[TrackedObject] = []
    if with_box:
        prediction = predictor.predict(
            features, objects.boxes_xyxy, points=_or_none(objects.points[:with_box])
        )
        answered += _objects(prediction, 0)
    if len(objects) > with_box:
        prediction = predictor.predict(features, points=objects.points[with_box:])
        answered += _objects(prediction, with_box)
    return tuple(answered)


def _or_none(points: Sequence[PointPrompt | None]) -> Sequence[PointPrompt | None] | None:
    return points if any(point is not None for point in points) else None


def _objects(prediction: AmodalPrediction, first: int) -> list[TrackedObject]:
    return [
        TrackedObject(
            track_id=-1,
            class_id="",
            detection_id=str(first + row),
            score=1.0,
            predicted_iou=float(prediction.predicted_iou[row]),
            coasting=False,
            visible=prediction.visible[row],
            amodal=prediction.amodal[row],
        )
        for row in range(len(prediction))
    ]
