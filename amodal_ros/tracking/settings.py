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
        16, 1, 100_000, "Most objects of one image, the best scores first; more are counted"
    )
    max_coast: float = _setting(
        2.0,
        -1.0,
        _LONGEST_S,
        "Seconds that a track lives without a detection; 0: not at all, -1: for ever",
    )
    max_drift: float = _setting(
        10.0,
        -1.0,
        _LONGEST_S,
        "Seconds that any object lives without a detection or a visible part that confirms it; "
        "-1: for ever",
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
        "Growth of a track's last amodal mask before it guides the next one, relative to the "
        "square root of its area",
    )
    match_iou: float = _setting(
        0.3, 0.01, 1.0, "Smallest overlap of a box with a track's box that continues the track"
    )
    agreement_iou: float = _setting(
        0.7,
        0.01,
        1.0,
        "Smallest overlap with the expected amodal mask by which a visible mask counts while its "
        "track has no detection, where it is not known what the object looks like",
    )
    coast_iou: float = _setting(
        0.5,
        0.01,
        1.0,
        "Smallest overlap with the mask before by which an amodal mask counts while its track "
        "has no detection, where it is not known what the object looks like",
    )
    min_predicted_iou: float = _setting(
        0.5,
        0.0,
        1.0,
        "A mask of which the model itself predicts less has drifted: the next one starts from "
        "the box",
    )
    max_area_jump: float = _setting(
        2.5,
        1.01,
        100.0,
        "A mask whose area grew or shrank by more than this factor has drifted",
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
