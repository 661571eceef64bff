# SPDX-License-Identifier: Apache-2.0
"""Time side by side: every round runs every contestant once; and how fast the machine could be."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

Samples = dict[str, list[float]]


def time_side_by_side(
    functions: Mapping[str, Callable[[], object]], warm_up: int, repeats: int
) -> Samples:
    """Milliseconds of each function in each of `repeats` rounds.

    Each round begins with another function, so that none always runs after the same one.
    """
    names = list(functions)
    samples: Samples = {name: [] for name in names}
    for round_number in range(warm_up + repeats):
        first = round_number % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            functions[name]()
            spent = (time.perf_counter() - start) * 1e3
            if round_number >= warm_up:
                samples[name].append(spent)
    return samples


def ratios(samples: Sequence[float], others: Sequence[float]) -> list[float]:
    """The ratio of two contestants in each round."""
    return [one / other for one, other in zip(samples, others, strict=True)]
