# SPDX-License-Identifier: Apache-2.0
"""Objects of one image that are looked at at two sizes: asked apart, answered as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.inference.prompts import ObjectQueries, check_rows
from amodal_ros.object_features import ObjectFeatures
from amodal_ros.types import AmodalPrediction

Asked = Callable[[ObjectQueries], AmodalPrediction]


def check_small_rows(small: ArrayLike | None, count: int, available: bool) -> np.ndarray:
    """Which of N objects are looked at in small regions: (N,) bool.

    Args:
        small: what was asked for; None: none of them.
        count: N.
        available: the model has a smaller size.

    Raises:
        InvalidInputError: for another number, or where the model has one size.
    """
    rows = check_rows("small", small, count)
    if rows.any() and not available:
        raise InvalidInputError("small: expected a model with a smaller size, got one without")
    return rows


def ask_two_sizes(
    queries: ObjectQueries, small: np.ndarray, full_size: Asked, small_size: Asked
) -> AmodalPrediction:
    """Asks for each object at its size.

    Args:
        queries: N objects.
        small: (N,) bool; some are, some are not.
        full_size: answers some of the objects.
        small_size: likewise.
    """
    first = full_size(queries.chosen(np.flatnonzero(~small)))
    second = small_size(queries.chosen(np.flatnonzero(small)))
    order = np.argsort(np.concatenate([np.flatnonzero(~small), np.flatnonzero(small)]))
    names = dict.fromkeys([*first.timings_ms, *second.timings_ms])
    return AmodalPrediction(
        first.image_hw,
        _ordered(first.raw_amodal, second.raw_amodal, order),
        _ordered(first.visible, second.visible, order),
        np.concatenate([first.predicted_iou, second.predicted_iou])[order],
        {name: sum(one.timings_ms.get(name, 0.0) for one in (first, second)) for name in names},
        _features(first.features, second.features, order),
        first.second_looks + second.second_looks,
    )


def _ordered(
    first: Sequence[CroppedMask], second: Sequence[CroppedMask], order: np.ndarray
) -> tuple[CroppedMask, ...]:
    both = (*first, *second)
    return tuple(both[place] for place in order.tolist())


def _features(
    first: ObjectFeatures | None, second: ObjectFeatures | None, order: np.ndarray
) -> ObjectFeatures | None:
    if first is None or second is None:
        return None
    rows = [one.of(row) for one in (first, second) for row in range(len(one.geometries))]
    values, geometries = zip(*(rows[place] for place in order.tolist()), strict=True)
    return ObjectFeatures(tuple(values), tuple(geometries))
