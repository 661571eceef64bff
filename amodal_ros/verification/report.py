# SPDX-License-Identifier: Apache-2.0
"""What the precision gate found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from amodal_ros.verification.measures import Comparison, Limits

END_TO_END = "end to end"
AGAINST_TORCH = "end to end, torch's masks"
# Masks of random weights are noise, which flips with the last bit of a logit.
MAX_RANDOM_LOGIT_ERROR = 0.05
RANDOM_WEIGHTS = (
    "the weights are random: this proves the mechanics only, and nothing about masks of real ones"
)


@dataclass(frozen=True)
class GateRow:
    """One comparison.

    Attributes:
        scene: its name.
        part: the graph that ran in the engine under test, or what ran there together.
        comparison: of the masks with fp32's.
        logit_error: greatest difference of the decoder's logits over their greatest size; for a
            graph of the video path, of what it gives for equal inputs; None: not measured.
        not_finite: outputs of the engine under test that held NaN or infinity.
    """

    scene: str
    part: str
    comparison: Comparison
    logit_error: float | None
    not_finite: tuple[str, ...]

    def __str__(self) -> str:
        """One line."""
        text = f"{self.scene}, {self.part}: {self.comparison}"
        if self.logit_error is not None:
            text += f"; logits by {self.logit_error:.1e} of the greatest"
        if self.not_finite:
            text += f"; NaN or infinity in {', '.join(self.not_finite)}"
        return text


@dataclass(frozen=True, eq=False)
class GateReport:
    """What the gate found.

    Attributes:
        engine: what was under test.
        rows: the comparisons.
        random_weights: the masks mean nothing; logits are judged in their place.
        limits: what passes.
    """

    engine: str
    rows: tuple[GateRow, ...]
    random_weights: bool
    limits: Limits

    def failures(self) -> list[str]:
        """The rows that do not pass."""
        return [str(row) for row in self.rows if not self._passes(row)]

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            "engine": self.engine,
            "passed": not self.failures(),
            "random_weights": self.random_weights,
            "limits": asdict(self.limits),
            "rows": [asdict(row) for row in self.rows],
        }

    def __str__(self) -> str:
        """A line per row, and what they prove."""
        lines = [f"{'passed' if not self.failures() else 'FAILED'}: {self.engine}"]
        lines += [f"  {'' if self._passes(row) else 'FAILED '}{row}" for row in self.rows]
        return "\n".join([*lines, RANDOM_WEIGHTS] if self.random_weights else lines)

    def _passes(self, row: GateRow) -> bool:
        if row.not_finite:
            return False
        if self.random_weights:
            return row.logit_error is None or row.logit_error <= MAX_RANDOM_LOGIT_ERROR
        return row.comparison.passes(self.limits)
