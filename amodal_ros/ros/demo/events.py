# SPDX-License-Identifier: Apache-2.0
"""One-line messages from the demo's processes to the one that started them, over stdout."""

from __future__ import annotations

import json
import sys
from typing import Any

_MARK = "@demo "


def send_event(kind: str, **values: Any) -> None:
    """Writes one event as a line of its own."""
    sys.stdout.write(_MARK + json.dumps({"event": kind, **values}) + "\n")
    sys.stdout.flush()


def parse_event(line: str) -> dict[str, Any] | None:
    """The event on a line of output; None: the line is something else."""
    if not line.startswith(_MARK):
        return None
    event: dict[str, Any] = json.loads(line[len(_MARK) :])
    return event
