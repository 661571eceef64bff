# SPDX-License-Identifier: Apache-2.0
"""From the samples of a soak run to its figures, marks and picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from amodal_ros.reporting import mark, summarise

# The run after its warm-up is cut into so many parts; the median of each is compared with that
# of the first, so that a single frame decides nothing.
PARTS = 10
WARM_UP_SHARE = 0.1
MEMORY_LIMIT = 0.02


@dataclass(frozen=True)
class Sample:
    """What was seen after one answered frame.

    Attributes:
        minute: since the start.
        rss_mib: the node's resident memory.
        total_ms: image stamp to publication.
        engine_ms: the engine's part of it.
        objects: masks in the answer.
        threads: of the node's process.
        open_files: of the node's process.
    """

    minute: float
    rss_mib: float
    total_ms: float
    engine_ms: float
    objects: int
    threads: int
    open_files: int


def settled(samples: Sequence[Sample]) -> list[Sample]:
    """Samples after the warm-up."""
    begin = samples[-1].minute * WARM_UP_SHARE
    return [sample for sample in samples if sample.minute >= begin]


def part_medians(values: Sequence[float]) -> list[float]:
    """Medians of ``PARTS`` equal parts, in their order.

    Raises:
        ValueError: if there are fewer values than parts.
    """
    if len(values) < PARTS:
        raise ValueError(f"expected at least {PARTS} values, got {len(values)}")
    return [float(np.median(part)) for part in np.array_split(np.asarray(values), PARTS)]


def largest_change(values: Sequence[float]) -> float:
    """Largest relative distance of a part's median from that of the first part."""
    first, *others = part_medians(values)
    return max(abs(other / first - 1) for other in others)


def judge(samples: Sequence[Sample], losses: dict[str, int]) -> dict[str, Any]:
    """Figures and marks of a run.

    Raises:
        ValueError: if the run was too short to say anything.
    """
    after = settled(samples)
    rss = [sample.rss_mib for sample in after]
    handles = {
        "threads": sorted({sample.threads for sample in after}),
        "open_files": sorted({sample.open_files for sample in after}),
    }
    return {
        "minutes": round(samples[-1].minute, 1),
        "frames": len(samples),
        "frames_after_warm_up": len(after),
        "memory_mib": {
            "first_frame": round(samples[0].rss_mib, 1),
            **summarise(rss),
            "medians_of_tenths": [round(median, 1) for median in part_medians(rss)],
        },
        "milliseconds": {
            "total": summarise(sample.total_ms for sample in after),
            "engine": summarise(sample.engine_ms for sample in after),
            "everything_but_engine": summarise(s.total_ms - s.engine_ms for s in after),
            "medians_of_tenths": [
                round(median, 1) for median in part_medians([s.total_ms for s in after])
            ],
        },
        "objects": summarise(sample.objects for sample in after),
        **handles,
        "losses": losses,
        "marks": {
            "memory_change_after_warm_up": mark(largest_change(rss), MEMORY_LIMIT, "relative"),
            "frames_without_answer": mark(losses.get("frames_without_answer", 0), 0, "frames"),
            "frames_lost_to_the_engine": mark(losses.get("dropped_engine_error", 0), 0, "frames"),
        },
    }


def write_picture(path: Path, samples: Sequence[Sample]) -> None:
    """Draw memory above and latency below.

    The green band is the allowed range around the first tenth after the warm-up; red are the
    medians of the tenths.

    Raises:
        ValueError: if the run was too short, or matplotlib does not know the format.
        OSError: if the file cannot be written.
    """
    after = settled(samples)
    minutes = [sample.minute for sample in samples]
    medians_at = part_medians([sample.minute for sample in after])
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    memory, latency = figure.subplots(2, 1, sharex=True)
    memory.set_title("Resident memory of the node, MiB (green: ±2 % after warm-up)", loc="left")
    memory.plot(minutes, [sample.rss_mib for sample in samples])
    medians = part_medians([sample.rss_mib for sample in after])
    memory.plot(medians_at, medians, color="tab:red")
    memory.axhspan(
        medians[0] * (1 - MEMORY_LIMIT), medians[0] * (1 + MEMORY_LIMIT), color="honeydew"
    )
    latency.set_title("Image stamp to masks published, seconds", loc="left")
    latency.plot(minutes, [sample.total_ms / 1e3 for sample in samples])
    latency.plot(
        medians_at, part_medians([sample.total_ms / 1e3 for sample in after]), color="tab:red"
    )
    latency.set(xlabel="minutes", ylim=(0, None))
    for panel in (memory, latency):
        panel.grid(color="gainsboro")
        panel.set_axisbelow(True)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
