# SPDX-License-Identifier: Apache-2.0
"""What objects look like to the image encoder: the tracker knows them by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.geometry import ResizeGeometry


@dataclass(frozen=True, eq=False)
class ObjectFeatures:
    """What the image encoder made of the surroundings of N objects.

    Attributes:
        values: (N, C, s, s) float32, or (1, C, s, s) where all objects share one encoding: the
            embeddings from which the visible masks were decoded. An engine's tensor on a GPU stays
            there until a row is asked for. Where inputs differ in size: a tuple of N arrays
            (C, s, s).
        geometries: N, of one original size: how the image lies in each object's input.
    """

    values: Any
    geometries: tuple[ResizeGeometry, ...]

    def __post_init__(self) -> None:
        """Checks dtype and number.

        Raises:
            InvalidInputError: naming the field and what came.
        """
        apart = isinstance(self.values, tuple)
        for values in self.values if apart else (self.values,):
            shape, dtype = tuple(values.shape), values.dtype
            if len(shape) != (3 if apart else 4) or dtype != np.float32:
                expected = "N times (C, s, s)" if apart else "(N, C, s, s)"
                raise InvalidInputError(
                    f"values: expected {expected} float32, got {shape} {np.dtype(dtype).name}"
                )
        if len(self.values) not in (1, len(self.geometries)):
            raise InvalidInputError(
                f"values: expected 1 or {len(self.geometries)} rows, got {len(self.values)}"
            )

    def of(self, row: int) -> tuple[np.ndarray, ResizeGeometry]:
        """Embeddings (C, s, s) and geometry of one object."""
        first = row if len(self.values) > 1 else 0
        if isinstance(self.values, tuple):
            return self.values[first], self.geometries[row]
        return np.asarray(self.values[first : first + 1])[0], self.geometries[row]

    def with_rows(self, rows: np.ndarray, other: ObjectFeatures) -> ObjectFeatures:
        """These, with others (K) in some rows (K,)."""
        geometries = list(self.geometries)
        for row, geometry in zip(rows.tolist(), other.geometries, strict=True):
            geometries[row] = geometry
        values = self.values
        if len(values) == len(geometries):
            apart = isinstance(values, tuple) or isinstance(other.values, tuple)
            if apart or values.shape[1:] != other.values.shape[1:]:
                taken = {row: place for place, row in enumerate(rows.tolist())}
                values = tuple(
                    other.of(taken[row])[0] if row in taken else self.of(row)[0]
                    for row in range(len(geometries))
                )
            else:
                values = np.array(values)
                values[rows] = np.asarray(other.values)
        return ObjectFeatures(values, tuple(geometries))
