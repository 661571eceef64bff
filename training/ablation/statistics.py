# SPDX-License-Identifier: Apache-2.0
"""Mean and spread over seeds, and whether a difference is more than the seeds' noise.

Runs of one seed see the same items in the same order, so that what the seed does to a figure is
mostly common to all of them: differences are taken seed by seed, and vary far less than figures.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from amodal_ros.errors import InvalidInputError

_CONFIDENCE = 0.95


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


@dataclass(frozen=True)
class SeedNoise:
    """How much a difference between two runs of one seed varies from seed to seed.

    Attributes:
        std: Standard deviation.
        degrees: Degrees of freedom of that estimate.
    """

    std: float
    degrees: int

    @classmethod
    def pooled(cls, differences: Iterable[Sequence[float]]) -> SeedNoise | None:
        """Estimate it from all ablations together; None where none has two seeds.

        It is taken to be the same for all of them, since three seeds alone say little.

        Args:
            differences: Of each ablation: its figure less the reference's, seed by seed.
        """
        several = [values for values in differences if len(values) > 1]
        degrees = sum(len(values) - 1 for values in several)
        if not degrees:
            return None
        squares = sum(statistics.variance(values) * (len(values) - 1) for values in several)
        return cls(math.sqrt(squares / degrees), degrees)

    def limit(self, seeds: int) -> float:
        """Return what a mean difference over `seeds` seeds exceeds by chance once in twenty times.

        Student's t, both directions.
        """
        quantile = float(stdtrit(self.degrees, (1.0 + _CONFIDENCE) / 2.0))
        return quantile * self.std / math.sqrt(seeds)


def verdict(differences: Sequence[float], noise: SeedNoise | None) -> str:
    """Say whether an ablation differs from the reference.

    Args:
        differences: Its figure less the reference's, seed by seed.
        noise: Of such differences.

    Returns:
        ``better``, ``worse``, ``inside the seed noise``, or ``seed noise unknown``.

    Raises:
        InvalidInputError: There is no difference.
    """
    mean = Spread.of(differences).mean
    if noise is None:
        return "seed noise unknown"
    if abs(mean) <= noise.limit(len(differences)):
        return "inside the seed noise"
    return "better" if mean > 0 else "worse"
