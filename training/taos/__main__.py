# SPDX-License-Identifier: Apache-2.0
"""``python -m training.taos``: makes TAOS shards, a preview sheet and statistics."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.taos.config import TaosConfig
    from training.taos.runner import TaosRun

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


def build_parser() -> argparse.ArgumentParser:
    """All options with their defaults."""
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
    add("--seed", type=int, default=0, metavar="S")
    add("--workers", type=int, default=1, metavar="W", help="processes, or Ray actors")
    add("--engine", choices=("local", "ray"), default="local")
    add("--frames", type=int, default=1, metavar="T", help="frames per clip; 1 makes stills")
    add(
        "--format",
        choices=("webdataset", "amodal_coco"),
        default="webdataset",
        help="amodal_coco also writes images/ and annotations.json for evaluation",
    )
    add("--skip-bad", action="store_true", help="count and list corrupt records, do not stop")
    add("--cache", type=Path, help="rendered views and self-made masks (default: OUT/cache)")
    add("--preview", type=int, default=64, metavar="N", help="composites on preview.png; 0: none")
    _add_composition(parser.add_argument_group("composition (paper 3.3)"))
    _add_judge(parser.add_argument_group("VLM judge (any OpenAI-compatible endpoint)"))
    return parser


def _add_composition(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    pair: dict[str, Any] = {"nargs": 2, "type": float, "metavar": ("LOW", "HIGH")}
    add("--target-area", default=(0.02, 0.40), help="share of the image", **pair)
    add("--occluder-ratio", default=(0.3, 1.5), help="occluder / target area", **pair)
    add("--overlap", default=(0.10, 0.70), help="share of the target covered", **pair)
    add(
        "--occluders",
        nargs="+",
        type=float,
        default=(0.72, 0.21, 0.07),
        metavar="P",
        help="probabilities of 1, 2, ... occluders",
    )
    add(
        "--touching-share",
        type=float,
        default=0.15,
        metavar="P",
        help="samples whose neighbour touches without covering",
    )
    add("--unoccluded-share", type=float, default=0.15, metavar="P")
    add("--part-share", type=float, default=0.2, metavar="P", help="occluders cut to a part")
    add("--blur-size", type=int, default=5, metavar="PX", help="Eq. 6 kernel; 0: no blur")
    add("--blur-sigma", type=float, default=1.0, metavar="PX")
    add("--harmonise", default=(0.1, 0.5), help="strength of colour matching", **pair)
    add("--long-side", type=int, default=640, metavar="PX", help="of the composites")
    add("--min-solidity", type=float, default=0.8, help="of targets from photos")
    add("--max-attempts", type=int, default=200, metavar="N", help="draws per sample")
    add("--shard-size", type=int, default=256, metavar="N", help="samples (clips) per shard")
    add("--image-format", choices=("jpg", "png"), default="jpg")
    add("--jpeg-quality", type=int, default=95, metavar="Q")
    add(
        "--licence",
        nargs="+",
        default=("CC0-1.0", "CC-BY-3.0"),
        metavar="ID",
        help="licences a 3D model may have",
    )
    add("--render-views", type=int, default=8, metavar="N", help="viewpoints per 3D model")
    add("--render-size", type=int, default=448, metavar="PX", help="side of a rendered view")
    add("--photos-grid", type=int, default=12, metavar="N", help="points per side for photos:")
    add("--model-dir", default="", metavar="DIR", help="model for photos: (default: embedded)")


def _add_judge(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--judge-url", metavar="URL", help="for example http://host:8000/v1")
    add("--judge-model", default="", metavar="NAME")
    add(
        "--judge-key-variable",
        default="OPENAI_API_KEY",
        metavar="VAR",
        help="environment variable that holds the API key",
    )
    add("--judge-timeout", type=float, default=30.0, metavar="S")
    add("--judge-retries", type=int, default=2, metavar="N")


def config_from(options: argparse.Namespace) -> TaosConfig:
    """Settings of the composites.

    Raises:
        InvalidInputError: naming the setting that is out of range.
    """
    from training.taos.config import TaosConfig

    return TaosConfig(
        seed=options.seed,
        frames=options.frames,
        long_side=options.long_side,
        target_area=tuple(options.target_area),
        occluder_ratio=tuple(options.occluder_ratio),
        overlap=tuple(options.overlap),
        occluder_counts=tuple(options.occluders),
        touching_share=options.touching_share,
        unoccluded_share=options.unoccluded_share,
        part_share=options.part_share,
        blur_size=options.blur_size,
        blur_sigma=options.blur_sigma,
        harmonise=tuple(options.harmonise),
        min_solidity=options.min_solidity,
        max_attempts=options.max_attempts,
        shard_size=options.shard_size,
        image_format=options.image_format,
        jpeg_quality=options.jpeg_quality,
        licences=tuple(options.licence),
        render_views=options.render_views,
        render_size=options.render_size,
        photos_grid=options.photos_grid,
        model_dir=options.model_dir,
    )


def run_from(options: argparse.Namespace) -> TaosRun:
    """The whole run.

    Raises:
        InvalidInputError: naming the option that is out of range.
    """
    from training.taos.runner import TaosRun
    from training.taos.vlm_judge import VlmJudgeConfig

    judge = None
    if options.judge_url:
        judge = VlmJudgeConfig(
            url=options.judge_url,
            model=options.judge_model,
            key_variable=options.judge_key_variable,
            timeout_s=options.judge_timeout,
            retries=options.judge_retries,
        )
    out = options.out.resolve()
    return TaosRun(
        config=config_from(options),
        sources=tuple(options.source),
        weights=tuple(options.weight) if options.weight else None,
        count=options.count,
        out=out / "shards" if options.format == "amodal_coco" else out,
        cache=(options.cache or out / "cache").resolve(),
        judge=judge,
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
    from training.taos.amodal_coco import export_amodal_coco
    from training.taos.preview import write_preview
    from training.taos.runner import run_taos
    from training.taos.shards import shard_files

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
