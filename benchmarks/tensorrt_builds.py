# SPDX-License-Identifier: Apache-2.0
"""Build model folders' graphs for several GPUs with TensorRT for RTX, and keep sizes and times.

``python -m benchmarks.tensorrt_builds --model DIR`` needs no GPU. It writes a JSON file, in
which rows of other models stay, and the table in docs/tensorrt.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amodal_ros.reporting import markdown_table
from benchmarks.common import RESULTS, ROOT, write_result

if TYPE_CHECKING:
    from amodal_ros.model_folder.manifest import ModelManifest

logger = logging.getLogger(__name__)

BUILDS = RESULTS / "tensorrt_builds.json"
DOCUMENT = ROOT / "docs" / "tensorrt.md"
TARGETS = ("SM86", "SM89", "SM120")
PRECISIONS = ("fp16", "fp32")
GRAPHS = ("prefix", "suffix", "decoder")  # the others are of the video path
_IDENTITY = ("base", "mode", "image_size", "target", "precision")

Row = dict[str, Any]


def build_rows(
    manifest: ModelManifest, targets: Sequence[str], precisions: Sequence[str]
) -> list[Row]:
    """Builds a model's graphs for each target in each precision.

    Raises:
        BackendError: when TensorRT for RTX cannot parse or build one.
    """
    from amodal_ros.backends.tensorrt.library import load_library
    from amodal_ros.model_folder.memory import load_memory, with_memory
    from export.trt.build_set import plan_graphs
    from export.trt.builder import BuildOptions, build_engine
    from export.trt.options import Limits, profile_shapes
    from export.trt.typed_graph import typed_graph

    library = load_library("tensorrt_rtx")
    whole = with_memory(manifest, load_memory(manifest.directory))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for precision in precisions:
            engines: dict[str, dict[str, Any]] = {target: {} for target in targets}
            for name, (graph, plan) in plan_graphs(whole, precision).items():
                typed = typed_graph(graph, plan)
                shapes = profile_shapes(whole.graphs[name], Limits())
                for target in targets:
                    options = BuildOptions(target=target)
                    built = build_engine(library, name, typed, shapes, options, Path(folder))
                    engines[target][name] = {
                        "mb": round(len(built.plan) / 1e6, 1),
                        "cpu_seconds": round(built.cpu_seconds, 1),
                        "tensors_checked": built.checked_tensors,
                        "tensors_in_16_bits": built.low_tensors,
                    }
            rows += [_row(manifest, t, precision, library.version, engines[t]) for t in targets]
    return rows


def _row(
    manifest: ModelManifest,
    target: str,
    precision: str,
    version: str,
    engines: Mapping[str, Mapping[str, Any]],
) -> Row:
    config = manifest.source.get("config", {})
    return {
        "base": config.get("base", manifest.name),
        "mode": manifest.mode,
        "image_size": manifest.image_size,
        "random_weights": manifest.source.get("random_weights") is True,
        "target": target,
        "precision": precision,
        "tensorrt_rtx": version,
        "engines": engines,
    }


def merge(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """Rows in order; new ones replace old ones of the same model, target and precision."""
    rows = {tuple(row[name] for name in _IDENTITY): row for row in (*old, *new)}
    return sorted(
        rows.values(),
        key=lambda row: (
            *(row[name] for name in _IDENTITY[:3]),
            int(row["target"][2:]),
            row["precision"],
        ),
    )


def markdown(rows: Sequence[Row]) -> str:
    """A table with a line per model, precision and target; the video path is one column."""
    head = ["Model", "Mode", "Input", "Precision", "GPU", *GRAPHS, "video", "all"]
    table = [head]
    for row in rows:
        engines = row["engines"]
        video = [name for name in engines if name not in GRAPHS]
        base = row["base"] + (" (random weights)" if row["random_weights"] else "")
        sizes = [_cell(engines, names) for names in (*([g] for g in GRAPHS), video, engines)]
        facts = [row[name] for name in ("mode", "image_size", "precision", "target")]
        table.append([base, *map(str, facts), *sizes])
    return markdown_table(table, text_columns=5)


def _cell(engines: Mapping[str, Mapping[str, float]], names: Collection[str]) -> str:
    """Size and time of some engines together."""
    if not names:
        return "–"
    mb = sum(engines[name]["mb"] for name in names)
    return f"{mb:.1f} MB, {sum(engines[name]['cpu_seconds'] for name in names):.1f} s"


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, action="append", help="model folder (default: the one that ships)"
    )
    parser.add_argument("--targets", nargs="+", default=list(TARGETS))
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS))
    parser.add_argument("--out", type=Path, default=BUILDS)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    options = parse_options(argv)
    from amodal_ros.errors import AmodalError
    from amodal_ros.model_folder.manifest import default_model_dir, load_manifest
    from amodal_ros.reporting import put_block

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        for folder in options.model or [default_model_dir()]:
            new = build_rows(load_manifest(folder), options.targets, options.precisions)
            known = json.loads(options.out.read_text()) if options.out.is_file() else None
            rows = merge(known["results"]["rows"] if known else [], new)
            write_result(options.out, "TensorRT for RTX builds, ahead of time", {}, {"rows": rows})
            put_block(options.document, "builds", markdown(rows))
    except AmodalError as error:
        logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
