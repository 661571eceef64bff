# SPDX-License-Identifier: Apache-2.0
"""How much each witness of a pair counts: `pair_weights.json`, from `training.pair_order`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from amodal_ros.occlusion.witnesses import Witnesses

WEIGHTS_FILE = Path(__file__).with_name("pair_weights.json")
WITNESSES = Witnesses._fields


@dataclass(frozen=True)
class PairWeights:
    """Weights of the witnesses.

    Attributes:
        by_witness: one for each, in the order of `WITNESSES`.
    """

    by_witness: tuple[float, ...]

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> PairWeights:
        """Of weights by the names of witnesses.

        Raises:
            InvalidInputError: when one is missing, unknown or not finite.
        """
        if set(weights) != set(WITNESSES):
            raise InvalidInputError(
                f"weights of a pair: expected {sorted(WITNESSES)}, got {sorted(weights)}"
            )
        values = tuple(float(weights[name]) for name in WITNESSES)
        if not all(map(math.isfinite, values)):
            raise InvalidInputError(f"weights of a pair: expected finite numbers, got {weights}")
        return cls(values)

    def odds_of(self, witnesses: Witnesses) -> float:
        """Natural logarithm of the odds that the first of two objects lies in front."""
        said = zip(self.by_witness, witnesses, strict=True)
        return sum(weight * value for weight, value in said)


@cache
def pair_weights() -> PairWeights:
    """Those that ship, read once."""
    return PairWeights.of(json.loads(WEIGHTS_FILE.read_text(encoding="utf-8"))["weights"])
