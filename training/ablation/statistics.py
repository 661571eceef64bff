# SPDX-License-Identifier: Apache-2.0
"""Mean and spread over seeds, and whether a difference is more than that."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from amodal_ros.errors import InvalidInputError

_STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class Spread:
    """A figure over several seeds.

    Attributes:
        mean: Over the seeds.
        std: Sample standard deviation; None for one seed.
        n: Seeds.
    """

    mean: float
    std: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up one value per seed.

        Raises:
            InvalidInputError: There is none.
        """
        if not values:
            raise InvalidInputError("expected a value of at least one seed, got none")
        std = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), std, len(values))


def verdict(one: Spread, reference: Spread) -> str:
    """Say whether a figure differs from the reference's.

    A figure of one seed is taken to vary between seeds as the reference does.

    Returns:
        ``better`` or ``worse`` when the means are more than two standard errors of their
        difference apart, ``inside the seed noise`` when they are not, and ``one seed: unknown``
        where the reference's noise is not known.
    """
    if reference.std is None:
        return "one seed: unknown"
    std = reference.std if one.std is None else one.std
    error = math.sqrt(std**2 / one.n + reference.std**2 / reference.n)
    difference = one.mean - reference.mean
    if abs(difference) <= _STANDARD_ERRORS * error:
        return "inside the seed noise"
    return "better" if difference > 0 else "worse"
