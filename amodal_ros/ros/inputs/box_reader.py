# SPDX-License-Identifier: Apache-2.0
"""Reads the box messages of one camera, and tells what is doubtful about all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from vision_msgs.msg import Detection2DArray

from amodal_ros.ros.convert.box_units import BoxUnits
from amodal_ros.ros.convert.detections import SanitisedDetections, detections_from_message
from amodal_ros.ros.watch.faults import Doubt, Fault, FaultLog
from amodal_ros.ros.watch.plausibility import SmallerFrame, normalised_boxes
from amodal_ros.types import Detections

_PERCENT = (
    "scores are 0..100, as {}: divided by 100. Let the detector send 0 to 1, which min_score too "
    "is measured in"
)
# An id that is no identity stays none, though not every message repeats one.
_IDS_ARE_NONE_FOR = 100


class BoxReader:
    """Turns messages into usable boxes. Not thread-safe: one thread reads."""

    def __init__(self, faults: FaultLog, units: BoxUnits) -> None:
        self._faults = faults
        self._units_doubt = Doubt(faults, Fault.BOX_UNITS)
        self._ids_doubt = Doubt(faults, Fault.BOX_IDS, end=_IDS_ARE_NONE_FOR)
        self._scores_doubt = Doubt(faults, Fault.BOX_SCORES)
        self._units = units
        self._smaller_frame = SmallerFrame()

    @property
    def units(self) -> BoxUnits:
        """What boxes are measured in."""
        return self._units

    @units.setter
    def units(self, units: BoxUnits) -> None:
        if units != self._units:
            self._units = units
            self._smaller_frame = SmallerFrame()
            self._units_doubt.clear()

    def read(
        self,
        message: Detection2DArray,
        image_hw: tuple[int, int],
        min_score: float,
        max_objects: int,
    ) -> Detections:
        """The usable boxes of a message, in pixels of its image."""
        found = detections_from_message(message, image_hw, min_score, max_objects, self._units)
        self._report_rejected(found, len(message.detections))
        if not message.detections:
            return found.detections
        self._units_doubt.see(self._other_units(found.seen_boxes, image_hw))
        self._ids_doubt.see(found.repeated_id)
        highest = max(
            (r.hypothesis.score for d in message.detections for r in d.results), default=0.0
        )
        self._scores_doubt.see(_PERCENT.format(f"{highest:g}") if found.percent else None)
        if self._ids_doubt.active:
            return replace(found.detections, detection_ids=("",) * len(found.detections))
        return found.detections

    def clear(self) -> None:
        """End all alarms."""
        for doubt in (self._units_doubt, self._ids_doubt, self._scores_doubt):
            doubt.clear()

    def _other_units(self, boxes: np.ndarray, image_hw: tuple[int, int]) -> str | None:
        if self._units.name not in ("automatic", "pixels"):
            return None
        doubtful = normalised_boxes(boxes, image_hw)
        if doubtful is None and self._units.name == "automatic":
            doubtful = self._smaller_frame.see(boxes, image_hw)
        return doubtful

    def _report_rejected(self, found: SanitisedDetections, total: int) -> None:
        for reason, times in found.rejected.items():
            fault = Fault.of_box(reason)
            if fault is Fault.BOX_LOW_SCORE:
                self._faults.count(fault, times)
                continue
            example = found.examples.get(reason)
            self._faults.report(
                fault,
                f"{times} of {total} boxes left out: {reason.replace('_', ' ')}"
                + (f", as {example}" if example else ""),
                times,
            )
