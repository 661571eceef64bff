# SPDX-License-Identifier: Apache-2.0
"""Which shapes an engine takes: the optimisation profile of each input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from amodal_ros.errors import InvalidInputError
from amodal_ros.model_folder.manifest import GraphSpec

Shape = tuple[int, ...]
# The manifest's name of the number of points; free lengths that no graph limits count rows.
POINTS = "P"
_USUAL_POINTS = 2  # a box


@dataclass(frozen=True)
class Limits:
    """How far the free lengths go.

    Attributes:
        max_batch: rows (objects, crops) in one call.
        max_points: points of one object; a box takes two.
    """

    max_batch: int = 8
    max_points: int = 16

    def __post_init__(self) -> None:
        """Checks them.

        Raises:
            InvalidInputError: for less than one row, or fewer points than a box has.
        """
        if self.max_batch < 1:
            raise InvalidInputError(f"max_batch: expected at least 1, got {self.max_batch}")
        if self.max_points < _USUAL_POINTS:
            raise InvalidInputError(
                f"max_points: expected at least {_USUAL_POINTS}, got {self.max_points}"
            )


def profile_shapes(spec: GraphSpec, limits: Limits) -> Mapping[str, tuple[Shape, Shape, Shape]]:
    """Smallest, usual and greatest shape of each input.

    Kernels are tuned for the usual one: half the greatest number of rows, and box prompts. What
    the model itself limits, such as the frames that it remembers, is usually at its greatest.
    """

    def lengths(
        shape: tuple[int | str, ...], rows: int, points: int, limited: Mapping[str, int]
    ) -> Shape:
        free = {POINTS: points, **limited}
        return tuple(n if isinstance(n, int) else free.get(n, rows) for n in shape)

    usual = (limits.max_batch + 1) // 2
    return {
        tensor.name: (
            lengths(tensor.shape, 1, 1, dict.fromkeys(spec.greatest, 1)),
            lengths(tensor.shape, usual, _USUAL_POINTS, spec.greatest),
            lengths(tensor.shape, limits.max_batch, limits.max_points, spec.greatest),
        )
        for tensor in spec.inputs
    }
