# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.tracking``: the tracker on clips, against doing without it."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.tracking.run import Setting

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run or render; 1 with a message when data, model or document cannot be used."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("amodal_ros.tracking.tracker").setLevel(logging.ERROR)

    from amodal_ros.errors import AmodalError

    try:
        document = _measure(arguments)
        if arguments.document is not None:
            _render(arguments.document, "truth" if arguments.truth_like else "model", document)
    except (AmodalError, OSError) as error:
        logger.error("%s", error)
        return 1
    for label, results in document["results"]["settings"].items():
        for name, one in results["variants"].items():
            logger.info("%s: %s: J %s, F %s", label, name, one["j"], one["f"])
        for name, mark in results.get("marks", {}).items():
            logger.info("%s: %s: %s", label, name, mark)
    logger.info("wrote %s", arguments.out)
    return 0


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run what is not done yet, write the result file, return its content."""
    from benchmarks.common import write_result
    from benchmarks.tracking.clips import find_clips
    from benchmarks.tracking.run import Job, code_digest, run_all
    from benchmarks.tracking.segmenters import TRUTH_LIKE, model_digest, model_name
    from benchmarks.tracking.summary import summarise_settings

    sources = find_clips(arguments.data, arguments.clips, arguments.stride, arguments.frame_rate)
    model = None if arguments.truth_like else arguments.model
    jobs = [
        Job(source, setting, model, arguments.threads, arguments.strips)
        for setting in _settings(arguments)
        for source in sources
    ]
    fingerprint = "truth" if model is None else model_digest(model)
    parts = arguments.out.with_suffix(".parts")
    results = run_all(jobs, f"{fingerprint} {code_digest()}", parts, arguments.workers)
    settings = {
        "segmenter": TRUTH_LIKE if model is None else f"the model `{model_name(model)}`",
        "model_digest": fingerprint,
        "data": [place.parent.name if place.is_file() else place.name for place in arguments.data],
        "modes": arguments.mode,
        "errors": arguments.errors,
        "clips": arguments.clips,
        "stride": arguments.stride,
        "drop": arguments.drop,
        "seed": arguments.seed,
        "frame_rate_hz": arguments.frame_rate,
    }
    summary = {"settings": summarise_settings(results), "each_clip": results}
    write_result(arguments.out, "tracking", settings, summary)
    return json.loads(arguments.out.read_text(encoding="utf-8"))


def _settings(arguments: argparse.Namespace) -> list[Setting]:
    """Each mode, with each strength of the detector's faults where it has one."""
    from benchmarks.tracking.run import GIVEN, Setting

    drop, seed = arguments.drop, arguments.seed
    return [
        Setting(mode, errors, drop, seed)
        for mode in arguments.mode
        for errors in ([0.0] if mode == GIVEN else arguments.errors)
    ]


def _render(path: Path, name: str, document: dict[str, Any]) -> None:
    from amodal_ros.reporting import put_block
    from benchmarks.tracking.summary import results_markdown

    put_block(path, f"tracking {name}", results_markdown(document))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tracking",
        description="Measure the tracker on clips with known truth: overlap of whole and hidden "
        "parts, identity switches, survival of full occlusion. Clips that are done are kept "
        "beside the result file and not done again.",
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        action="append",
        help="folder with clips.json, such a file, a clip in DAVIS's layout (00000.jpg and"
        " 00000.png), or a folder of those; may be given several times",
    )
    parser.add_argument(
        "--mode",
        nargs="+",
        choices=("given", "detected"),
        default=["detected"],
        help="given: the box of the first frame alone; detected: boxes in each frame (detected)",
    )
    parser.add_argument(
        "--errors",
        type=float,
        nargs="+",
        default=[0.0],
        help="strengths of the detector's faults, 0 to 2; each is measured (0)",
    )
    parser.add_argument("--strips", type=Path, help="folder for a picture strip of each clip")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--model", type=Path, help="model folder")
    who.add_argument(
        "--truth-like",
        action="store_true",
        help="true masks with small errors instead of a model: tests the tracker's logic alone",
    )
    parser.add_argument("--out", type=Path, required=True, help="result file, JSON")
    parser.add_argument("--clips", type=int, help="at most so many of each folder (all)")
    parser.add_argument("--stride", type=int, default=1, help="use every so-manieth frame (1)")
    parser.add_argument("--drop", type=float, default=0.0, help="share of boxes missed (0)")
    parser.add_argument("--seed", type=int, default=0, help="of the detector's faults (0)")
    parser.add_argument("--frame-rate", type=float, default=12.0, help="of the clips, Hz (12)")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--threads", type=int, default=1, help="of each process's engine (1)")
    parser.add_argument(
        "--document", type=Path, help="Markdown file whose table is to be rewritten"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
