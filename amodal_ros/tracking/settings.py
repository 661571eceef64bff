# SPDX-License-Identifier: Apache-2.0
"""How objects are followed: the one place of names, defaults, ranges and descriptions.

The node's parameters of the same names, and through them ``config/perception.yaml`` and the table
of ``docs/node.md``, are made from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from amodal_ros.errors import InvalidInputError

_LONGEST_S = 3600.0


def _setting(default: float, low: float, high: float, description: str) -> Any:
    """A field with its range, whose ends are allowed, and a description in words."""
    return field(
        default=default, metadata={"minimum": low, "maximum": high, "description": description}
    )


@dataclass(frozen=True)
class TrackerConfig:
    """How objects are followed over time; each field's metadata says what it means."""

    max_objects: int = _setting(
        16,
        1,
        100_000,
        "Most objects in one image, those with the best scores first; the others are counted",
    )
    max_coast: float = _setting(
        2.0,
        -1.0,
        _LONGEST_S,
        "Seconds that a detected object's track lives without a detection; 0: it ends at "
        "once, -1: for ever",
    )
    max_drift: float = _setting(
        10.0,
        -1.0,
        _LONGEST_S,
        "Seconds that any track lives while neither a detection nor a visible part "
        "confirms it, objects of ~/add_object included; -1: for ever",
    )
    score_half_life: float = _setting(
        1.0,
        0.01,
        _LONGEST_S,
        "Seconds in which the score of a track halves while nothing confirms it",
    )
    prior_dilation: float = _setting(
        0.1,
        0.0,
        1.0,
        "Growth of a track's last amodal mask before it becomes the prior mask of the "
        "next image, as a share of the square root of its area",
    )
    match_iou: float = _setting(
        0.3,
        0.01,
        1.0,
        "Least IoU of a detection with a track's box by which it continues the track",
    )
    agreement_iou: float = _setting(
        0.7,
        0.01,
        1.0,
        "Least IoU with the expected amodal mask at which a visible mask counts, of a "
        "track without a detection whose look is not known",
    )
    coast_iou: float = _setting(
        0.5,
        0.01,
        1.0,
        "Least IoU with the last amodal mask at which an amodal mask counts, of a track "
        "without a detection whose look is not known",
    )
    min_predicted_iou: float = _setting(
        0.5,
        0.0,
        1.0,
        "A mask for which the model predicts a lower IoU has drifted: the next prior mask"
        " is made from the box",
    )
    max_area_jump: float = _setting(
        2.5,
        1.01,
        100.0,
        "A mask whose area grew or shrank by more than this factor has drifted: the next "
        "prior mask is made from the box",
    )

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            InvalidInputError: naming the field, what was expected and what came.
        """
        for entry in fields(self):
            value = getattr(self, entry.name)
            low, high = entry.metadata["minimum"], entry.metadata["maximum"]
            if math.isnan(value) or not low <= value <= high:
                raise InvalidInputError(
                    f"{entry.name}: expected a number from {low:g} to {high:g}, got {value}"
                )
