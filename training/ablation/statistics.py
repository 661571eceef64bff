# SPDX-License-Identifier: Apache-2.0
"""Mean and spread over seeds, and whether a difference is more than the seeds' noise.

Runs of one seed see the same items in the same order, so that what the seed does to a figure is
mostly common to all of them: differences are taken seed by seed, and vary far less than figures.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from amodal_ros.errors import InvalidInputError

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """A figure over several seeds."""

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
    def of(cls, figures: Mapping[str, Mapping[str, float]]) -> SeedNoise | None:
        """Estimate it from all runs together, since three seeds of one ablation say little.

        A figure is taken for the sum of what its configuration does, what its seed does, and
        noise that is alike everywhere; least squares over all runs leave the noise. (Pooling the
        differences from the reference instead would count the reference's noise once a row.)

        Returns:
            None where no two configurations have two seeds in common.
        """
        configs = sorted(figures)
        seeds = sorted({seed for runs in figures.values() for seed in runs})
        runs = [(config, seed) for config in configs for seed in sorted(figures[config])]
        design = np.zeros((len(runs), len(configs) + len(seeds)))
        values = np.array([figures[config][seed] for config, seed in runs])
        for row, (config, seed) in enumerate(runs):
            design[row, configs.index(config)] = 1.0
            design[row, len(configs) + seeds.index(seed)] = 1.0
        if not runs:
            return None
        fitted, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
        degrees = len(runs) - int(rank)
        if not degrees:
            return None
        squares = float(((values - design @ fitted) ** 2).sum())
        return cls(math.sqrt(2.0 * squares / degrees), degrees)

    def limit(self, seeds: int) -> float:
        """Return what a mean difference over so many seeds exceeds by chance once in twenty times.

        Student's t, both directions.
        """
        quantile = float(stdtrit(self.degrees, (1.0 + _CONFIDENCE) / 2.0))
        return quantile * self.std / math.sqrt(seeds)


def verdict(differences: Sequence[float], noise: SeedNoise | None) -> str:
    """Say whether an ablation differs from the reference.

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
