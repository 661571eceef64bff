# SPDX-License-Identifier: Apache-2.0
"""Reading what ``python -m training.evaluate`` wrote about each object."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amodal_ros.errors import AmodalError

logger = logging.getLogger(__name__)


def print_about(path: Path, describe: Callable[[list[dict[str, Any]]], str]) -> int:
    """Print what can be said about an ``instances.jsonl``; returns the exit status.

    Args:
        path: of the file. One that cannot be read, or not be described, is named in the log.
        describe: makes the text from its records.
    """
    logging.basicConfig(format="%(message)s")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        print(describe([json.loads(line) for line in lines]))
    except (AmodalError, OSError, ValueError, KeyError) as error:
        logger.error("%s: %s", path, error)
        return 1
    return 0
