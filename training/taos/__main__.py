# SPDX-License-Identifier: Apache-2.0
"""``python -m training.taos``: makes TAOS shards, a preview sheet and statistics."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.taos.run import TaosRun

LOGGER = logging.getLogger("training.taos")

_EPILOG = """\
sources (KIND:PATH, --source may be given several times):
  coco:annotations.json@images   COCO-style JSON, polygons or RLE
  yolo:DIR                       DIR/images and DIR/labels (class x y x y ..., normalised)
  sa1b:DIR                       sa_*.tar, read in place; or sa_*.jpg with sa_*.json
  cutouts:DIR                    RGBA .png or .webp with the object's shape as alpha
  render:DIR                     .sh3f catalogues of 3D models (MuJoCo; MUJOCO_GL=osmesa)
  photos:DIR                     any photos; masks are made by the embedded base model

A killed run goes on where it stopped when the same command is given again.
"""


_NAMES = {"occluder_counts": "occluders", "licences": "licence"}
_JUDGE_NAMES = {
    "url": "judge-url",
    "model": "judge-model",
    "key_variable": "judge-key-variable",
    "timeout_s": "judge-timeout",
    "retries": "judge-retries",
}
_UNCHANGED = ("backoff_s", "pause_after", "pause_s")


def build_parser() -> argparse.ArgumentParser:
    """All options with their defaults."""
    from training.options import add_options
    from training.taos.config import TaosConfig
    from training.taos.judge import VlmJudgeConfig

    parser = argparse.ArgumentParser(
        prog="python -m training.taos",
        description="Target-Aware Occlusion Synthesis: composites with known amodal masks.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--source", action="append", required=True, metavar="KIND:PATH", help="see below")
    add(
        "--weight",
        action="append",
        type=float,
        metavar="W",
        help="one for each --source: how often it is drawn from (default: equally often)",
    )
    add("--count", type=int, required=True, metavar="N", help="composites (or clips) to make")
    add("--out", type=Path, required=True, metavar="SHARDS", help="folder to write")
    add("--workers", type=int, default=1, metavar="W", help="processes, or Ray actors")
    add("--engine", choices=("local", "ray"), default="local")
    add(
        "--format",
        choices=("webdataset", "amodal_coco"),
        default="webdataset",
        help="amodal_coco also writes images/ and annotations.json for evaluation",
    )
    add("--skip-bad", action="store_true", help="count and list corrupt records, do not stop")
    add("--cache", type=Path, help="rendered views and self-made masks (default: OUT/cache)")
    add("--preview", type=int, default=64, metavar="N", help="composites on preview.png; 0: none")
    add_options(parser.add_argument_group("composition (paper 3.3)"), TaosConfig, names=_NAMES)
    add_options(
        parser.add_argument_group("VLM judge (any OpenAI-compatible endpoint)"),
        VlmJudgeConfig,
        leave_out=_UNCHANGED,
        names=_JUDGE_NAMES,
        required=False,
    )
    return parser


def run_from(options: argparse.Namespace) -> TaosRun:
    """The whole run.

    Raises:
        InvalidInputError: naming the option that is out of range.
    """
    from training.options import from_options
    from training.taos.config import TaosConfig
    from training.taos.judge import VlmJudgeConfig
    from training.taos.run import TaosRun

    out = options.out.resolve()
    return TaosRun(
        config=from_options(TaosConfig, options),
        sources=tuple(options.source),
        weights=tuple(options.weight) if options.weight else None,
        count=options.count,
        out=out / "shards" if options.format == "amodal_coco" else out,
        cache=(options.cache or out / "cache").resolve(),
        judge=from_options(VlmJudgeConfig, options) if options.url else None,
        skip_bad=options.skip_bad,
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns 0, 2 for unusable input, 3 if nothing could be made."""
    options = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    from amodal_ros.errors import AmodalError

    try:
        return _run(options)
    except AmodalError as error:
        LOGGER.error("%s", error)
        return 2


def _run(options: argparse.Namespace) -> int:
    from training.taos.preview import write_preview
    from training.taos.runner import run_taos
    from training.taos.shards import export_amodal_coco, shard_files

    run = run_from(options)
    statistics = run_taos(run, workers=options.workers, engine=options.engine)
    sys.stdout.write("\n".join(statistics.lines()) + "\n")
    out = options.out.resolve()
    if options.preview and statistics.written:
        write_preview(run.out, out / "preview.png", options.preview)
    if options.format == "amodal_coco":
        LOGGER.info("wrote %s", export_amodal_coco(shard_files(run.out), out))
    return 0 if statistics.written else 3


if __name__ == "__main__":
    sys.exit(main())
