# SPDX-License-Identifier: Apache-2.0
"""Memory and latency over time as a picture; drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.soak.judgement import MEMORY_LIMIT, Sample, part_medians, settled


def write_picture(path: Path, samples: Sequence[Sample]) -> None:
    """Draw memory above and latency below.

    The green band is the allowed range around the first tenth after the warm-up; red are the
    medians of the tenths.

    Args:
        path: its suffix says the format; folders are made.
        samples: of the whole run, in their order.

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
