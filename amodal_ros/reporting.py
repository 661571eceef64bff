# SPDX-License-Identifier: Apache-2.0
"""What measurements share: samples summed up, where they come from, tables in documents.

A table that a command writes stands in its document between ``<!-- generated NAME -->`` and
``<!-- end NAME -->``; the command replaces what lies between them and nothing else.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import write_text

PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "torch", "rclpy", "ros-jazzy-rclpy")
_SOURCES = Path(__file__).resolve().parent


def measure(function: Callable[[], object], warm_up: int, repeats: int) -> list[float]:
    """Milliseconds of each of ``repeats`` calls, after ``warm_up`` calls that do not count."""
    for _ in range(warm_up):
        function()
    samples = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        samples.append((time.perf_counter() - start) * 1e3)
    return samples


def summarise(samples: Iterable[float]) -> dict[str, float]:
    """Number, median, quartiles, interquartile range, p90, p99, least and greatest.

    Raises:
        ValueError: if there is no sample, or one is not finite.
    """
    values = np.asarray(list(samples), np.float64)
    if not values.size or not np.isfinite(values).all():
        raise ValueError(f"expected finite samples, at least one, got {values.tolist()}")
    q1, median, q3, p90, p99 = np.percentile(values, [25, 50, 75, 90, 99])
    summary = {
        "n": values.size,
        "median": median,
        "q1": q1,
        "q3": q3,
        "iqr": q3 - q1,
        "p90": p90,
        "p99": p99,
        "min": values.min(),
        "max": values.max(),
    }
    return {key: _rounded(float(value)) for key, value in summary.items()}


def mark(value: float, limit: float, unit: str) -> dict[str, Any]:
    """A value that must not exceed a limit, and whether it does."""
    return {"value": _rounded(value), "limit": limit, "unit": unit, "met": value <= limit}


def print_marks(marks: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints each mark, and whether it is met."""
    for name, entry in marks.items():
        verdict = "met" if entry["met"] else "MISSED"
        print(f"{name}: {entry['value']} {entry['unit']}, limit {entry['limit']}: {verdict}")


def provenance(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Commit, date, machine and versions: what a result file says about itself."""
    return {
        "commit": git_commit(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu_model(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(
                os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1
            ),
            "system": f"{platform.system()} {platform.machine()}",
            "load_average_1min": round(os.getloadavg()[0], 2),
        },
        "versions": {"python": platform.python_version(), **package_versions(packages)},
    }


def git_commit() -> str:
    """The checkout's commit; ``-dirty`` if tracked files differ; ``unknown`` outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        described = subprocess.run(
            command, cwd=_SOURCES, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "unknown"
    return described.stdout.strip() or "unknown"


def package_versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of those distributions that are installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def markdown_table(table: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """A Markdown table.

    Args:
        table: rows of cells, the headings first.
        text_columns: how many columns are text; those after them are numbers.
    """
    head, *rows = table
    rule = ["---" if column < text_columns else "---:" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def wrapped(prose: str) -> str:
    """Lines of at most 100 columns, as the documents have them; words are not broken."""
    return textwrap.fill(prose, 100, break_long_words=False, break_on_hyphens=False)


def generated_block(text: str, name: str) -> str:
    """What stands between the marks of a name, without blank lines around it.

    Raises:
        InvalidInputError: the text does not have each mark once.
    """
    return _parts(text, name)[1].strip("\n")


def replace_block(text: str, name: str, body: str) -> str:
    """A document's text with another body between the marks of a name.

    Raises:
        InvalidInputError: the text does not have each mark once.
    """
    before, _, after = _parts(text, name)
    begin, end = _marks(name)
    return f"{before}{begin}\n\n{body.rstrip()}\n\n{end}{after}"


def put_block(path: Path, name: str, body: str) -> None:
    """Replaces what stands between the marks of a name in a document.

    Raises:
        InvalidInputError: there is no such document, or it does not have each mark once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"{path}: no document to write to: {error}") from error
    try:
        changed = replace_block(text, name, body)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    write_text(path, changed)


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- generated {name} -->", f"<!-- end {name} -->"


def _parts(text: str, name: str) -> tuple[str, str, str]:
    begin, end = _marks(name)
    if text.count(begin) != 1 or text.count(end) != 1:
        raise InvalidInputError(f"expected the marks {begin!r} and {end!r}, once each")
    before, rest = text.split(begin)
    body, after = rest.split(end)
    return before, body, after


def _rounded(value: float) -> float:
    """Four significant digits, all digits of the whole part."""
    if value == 0:
        return 0.0
    return round(value, max(0, 3 - math.floor(math.log10(abs(value)))))


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
