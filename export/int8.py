#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Try int8 on a CPU: quantise a model folder in several ways and keep the fastest that is right.

Each way is measured beside fp32 and goes through the precision gate, on frames that calibration
has not seen. What fails the gate is reported and not written.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

logger = logging.getLogger(__name__)


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="model folder (default: the packaged one)")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write, a new one")
    parser.add_argument("--report", type=Path, help="JSON file with the figures of every way")
    parser.add_argument("--document", type=Path, help="rewrite the table of this document")
    parser.add_argument(
        "--frames", type=int, default=8, help="of the demo clip, half of them to calibrate on"
    )
    parser.add_argument(
        "--image", type=Path, action="append", default=[], help="take these instead, with --box"
    )
    parser.add_argument(
        "--box", type=float, nargs=4, action="append", default=[], metavar=("X0", "Y0", "X1", "Y1")
    )
    parser.add_argument("--repeats", type=int, default=7, help="measured frames of each way")
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    return parser.parse_args(argv)


def try_int8(options: argparse.Namespace) -> dict[str, Any]:
    """Tries every way; writes the fastest that passes the gate and is faster than fp32.

    Returns:
        The report: `variants`, and `kept`, the one that was written, or None.

    Raises:
        AmodalError: A folder, a scene or the engine cannot be used.
    """
    from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
    from amodal_ros.errors import InvalidInputError
    from amodal_ros.model_folder.manifest import default_model_dir, load_manifest
    from amodal_ros.reporting import provenance
    from amodal_ros.verification.scenes import read_scenes
    from export.folder.output_folder import work_folder
    from export.int8_graphs import VARIANTS, record_inputs, write_variant
    from export.int8_scenes import clip_scenes, divide

    if options.out.exists():
        raise InvalidInputError(f"{options.out} exists; expected a new folder")
    manifest = load_manifest(options.model or default_model_dir())
    given = read_scenes(options.image, options.box)
    calibration, judging = divide(given or clip_scenes(options.frames))
    fp32 = OnnxRuntimeBackend(manifest, intra_op_threads=options.threads)
    recorded = record_inputs(manifest, fp32, calibration)
    found: list[dict[str, Any]] = []
    with work_folder(options.out.parent, ".int8-") as scratch:
        for number, variant in enumerate(VARIANTS):
            folder = scratch / str(number)
            quantised = write_variant(variant, manifest, recorded, folder)
            engine = OnnxRuntimeBackend(quantised, intra_op_threads=options.threads)
            found.append(_judge(str(variant), quantised, engine, fp32, judging, options.repeats))
            engine.close()
        fp32.close()
        good = [entry for entry in found if entry["gate"]["passed"] and entry["ratio"] < 1]
        best = min(good, key=lambda entry: entry["ratio"], default=None)
        if best is not None:
            os.replace(scratch / str(found.index(best)), options.out)
    return {
        "benchmark": "int8 on the CPU",
        **provenance(),
        "settings": {
            "calibration": [scene.name for scene in calibration],
            "judging": [scene.name for scene in judging],
            "repeats": options.repeats,
            "threads": options.threads,
        },
        "model": {"name": manifest.name, "mode": manifest.mode, "size": manifest.image_size},
        "variants": found,
        "kept": None if best is None else best["variant"],
    }


def _judge(
    name: str, manifest: Any, engine: Any, fp32: Any, scenes: Any, repeats: int
) -> dict[str, Any]:
    """Gate and speed of one way."""
    from functools import partial

    from amodal_ros.inference.predictor import AmodalPredictor
    from amodal_ros.reporting import summarise
    from amodal_ros.verification.gate import run_gate
    from export.benchmarking.timing import ratios, time_side_by_side

    report = run_gate(manifest, engine, fp32, scenes)
    logger.info("%s: %s", name, report)
    scene = scenes[0]

    def answer(predictor: AmodalPredictor) -> None:
        predictor.predict(predictor.encode(scene.image_rgb), scene.boxes_xyxy)

    samples = time_side_by_side(
        {
            "int8": partial(answer, AmodalPredictor(manifest, engine, 2)),
            "fp32": partial(answer, AmodalPredictor(manifest, fp32, 2)),
        },
        1,
        repeats,
    )
    ratio = summarise(ratios(samples["int8"], samples["fp32"]))
    return {
        "variant": name,
        "milliseconds": {key: summarise(values) for key, values in samples.items()},
        "ratio": ratio["median"],
        "ratio_spread": ratio,
        "megabytes": round(sum(g.file.bytes for g in manifest.graphs.values()) / 1e6, 1),
        "gate": report.to_json(),
    }


def _write(report: dict[str, Any], path: Path | None, document: Path | None) -> None:
    """Writes the report, and its table.

    Raises:
        InvalidInputError: where that cannot be done.
    """
    from amodal_ros.errors import InvalidInputError
    from export.int8_table import write_table

    try:
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        if document:
            write_table(document, report)
    except OSError as error:
        raise InvalidInputError(f"cannot be written: {error}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns 1 when no way passes the gate and is faster."""
    options = parse_options(argv)
    from amodal_ros.errors import AmodalError

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    try:
        report = try_int8(options)
        for entry in report["variants"]:
            verdict = "passes" if entry["gate"]["passed"] else "fails"
            logger.info("%s: %.2f of fp32's time, %s", entry["variant"], entry["ratio"], verdict)
        kept = report["kept"]
        logger.info("%s", f"{options.out}: {kept}" if kept else "nothing kept: fp32 it is")
        _write(report, options.report, options.document)
    except AmodalError as error:
        logger.error("%s", error)
        return 2
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
