# SPDX-License-Identifier: Apache-2.0
"""What every benchmark shares: measuring, summing up, a JSON file that says where it came from."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "torch", "rclpy", "ros-jazzy-rclpy")


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


def provenance(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Commit, machine and versions."""
    return {
        "commit": commit(),
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
        "versions": {"python": platform.python_version(), **_versions(packages)},
    }


def commit() -> str:
    """The checkout's commit; ``-dirty`` if tracked files differ; ``unknown`` outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        described = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return described.stdout.strip() or "unknown"


def model_facts(folder: Path | None) -> dict[str, Any]:
    """Which model is measured: its folder's name and the digests of its graphs.

    Args:
        folder: of the model; None: the packaged one.

    Raises:
        ManifestError: if it is no model folder.
    """
    from amodal_ros.model_folder.manifest import default_model_dir, load_manifest

    graphs = load_manifest(folder or default_model_dir()).graphs
    return {
        "model": folder.name if folder else "packaged",
        "model_sha256": {role: graph.file.sha256 for role, graph in graphs.items()},
    }


def write_result(
    path: Path, benchmark: str, settings: Mapping[str, Any], results: Mapping[str, Any]
) -> None:
    """Write a benchmark's JSON file.

    Args:
        path: folders are made.
        benchmark: what was measured.
        settings: warm-up, repeats, sizes, seeds: what another run needs to repeat it.
        results: summaries and marks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "benchmark": benchmark,
        **provenance(),
        "settings": dict(settings),
        "results": dict(results),
    }
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")


def _rounded(value: float) -> float:
    """Four significant digits, all digits of the whole part."""
    if value == 0:
        return 0.0
    return round(value, max(0, 3 - math.floor(math.log10(abs(value)))))


def _versions(packages: Sequence[str]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
