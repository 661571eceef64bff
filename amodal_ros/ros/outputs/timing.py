# SPDX-License-Identifier: Apache-2.0
"""The message on ``amodal/timing``: where the time of one frame went, and what was dropped."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

# In the order of a frame's way. `total` is stamp to publication, the others are parts of it.
TIMING_KEYS: tuple[str, ...] = (
    "transport",
    "wait",
    "convert",
    "preprocess",
    "prefix",
    "prior",
    "suffix",
    "decoder",
    "postprocess",
    "track",
    "message",
    "total",
)


def timing_message(
    header: Header, timings_ms: Mapping[str, float], counters: Mapping[str, int]
) -> DiagnosticArray:
    """Build the message of one answered frame.

    Args:
        header: the source image's.
        timings_ms: milliseconds by ``TIMING_KEYS``; a missing one did not take place: 0.
        counters: the node's fault counters since it was configured.
    """
    values = [KeyValue(key=key, value=f"{timings_ms.get(key, 0.0):.3f}") for key in TIMING_KEYS]
    values += [KeyValue(key=key, value=str(count)) for key, count in counters.items()]
    status = DiagnosticStatus(
        level=DiagnosticStatus.OK, name="amodal_perception: timing", message="ms", values=values
    )
    return DiagnosticArray(header=header, status=[status])


def read_timing(message: DiagnosticArray) -> dict[str, float]:
    """Every key of a timing message with its value: milliseconds, and counters."""
    (status,) = message.status
    return {entry.key: float(entry.value) for entry in status.values}
