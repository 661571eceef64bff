# SPDX-License-Identifier: Apache-2.0
"""What a run made and what it left out, summed over its shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from training.taos.shards import samples_of
from training.taos.types import DrawReport

BINS = 10
_MOST_LISTED = 1000


@dataclass
class TaosStatistics:
    """Counts of a shard, or of a whole run.

    Attributes:
        asked: samples (clips) asked for.
        written: samples (clips) written.
        frames: pictures written.
        by_source: targets by source.
        occluders_by_source: pasted objects by source.
        by_mode: occluded, touching, unoccluded.
        occlusion_histogram: pictures by occlusion rate: exactly 0, then ten equal bins.
        rejects: attempts rejected, by reason.
        licences: pasted objects and targets by licence, where the source states one.
        annotations_left_out: annotations that mark no object, by source; of a whole run alone.
        bad_records: messages of corrupt records that were skipped.
    """

    asked: int = 0
    written: int = 0
    frames: int = 0
    by_source: Counter[str] = field(default_factory=Counter)
    occluders_by_source: Counter[str] = field(default_factory=Counter)
    by_mode: Counter[str] = field(default_factory=Counter)
    occlusion_histogram: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    annotations_left_out: Counter[str] = field(default_factory=Counter)
    bad_records: set[str] = field(default_factory=set)

    def add(self, report: DrawReport) -> None:
        """Counts one drawn sample or clip."""
        self.asked += 1
        self.rejects.update(report.rejects)
        self.bad_records.update(report.bad_records)
        if report.result is None:
            return
        self.written += 1
        frames = samples_of(report.result)
        self.frames += len(frames)
        first = frames[0].provenance
        objects = [first["target"], *first["occluders"]]
        self.by_source[first["target"]["source"]] += 1
        self.by_mode[first["mode"]] += 1
        self.occluders_by_source.update(entry["source"] for entry in first["occluders"])
        self.licences.update(entry["licence"] for entry in objects if "licence" in entry)
        self.occlusion_histogram.update(_bin(frame.occlusion_rate) for frame in frames)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, keys in a fixed order."""
        return {
            "asked": self.asked,
            "written": self.written,
            "frames": self.frames,
            **{name: dict(sorted(getattr(self, name).items())) for name in _COUNTERS},
            "bad_records": sorted(self.bad_records)[:_MOST_LISTED],
            "bad_record_count": len(self.bad_records),
        }

    @classmethod
    def merged(cls, parts: Iterable[dict[str, Any]]) -> TaosStatistics:
        """Sum of the `to_dict` of several shards."""
        total = cls()
        for part in parts:
            total.asked += part["asked"]
            total.written += part["written"]
            total.frames += part["frames"]
            for name in _COUNTERS:
                getattr(total, name).update(part.get(name, {}))
            total.bad_records.update(part["bad_records"])
        return total

    def lines(self) -> list[str]:
        """The same for people."""
        text = [f"written {self.written} of {self.asked} ({self.frames} pictures)"]
        for name in _COUNTERS:
            counter = getattr(self, name)
            if counter:
                text.append(f"{name.replace('_', ' ')}:")
                text += [f"  {key:<28} {counter[key]}" for key in sorted(counter)]
        if self.bad_records:
            text.append(f"corrupt records skipped: {len(self.bad_records)}")
            text += [f"  {message}" for message in sorted(self.bad_records)[:20]]
        return text


_COUNTERS = (
    "by_source",
    "occluders_by_source",
    "by_mode",
    "occlusion_histogram",
    "rejects",
    "licences",
    "annotations_left_out",
)


def _bin(rate: float) -> str:
    if rate == 0.0:
        return "0"
    index = min(BINS - 1, int(rate * BINS))
    return f"{index / BINS:.1f}-{(index + 1) / BINS:.1f}"
