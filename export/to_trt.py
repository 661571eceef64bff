#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Build TensorRT engines from a model folder; those whose masks differ from fp32 are not written.

Without arguments: of the model that ships, for this machine's GPU. With --flavor tensorrt_rtx and
--target no GPU is needed: the engines are then verified when they are first loaded on the target.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from export.trt.options import EngineOptions

logger = logging.getLogger(__name__)

# Fields of `amodal_ros.verification.measures.Limits`, which `--help` does not wait for.
GATE_LIMITS = (
    "min_mean_iou",
    "min_low_iou",
    "min_worst_iou",
    "min_boundary_f",
    "max_iou_error",
    "max_truth_lost",
)


FLAVORS = ("tensorrt", "tensorrt_rtx")


def installed_flavor() -> str:
    """The TensorRT that can be imported; the first one where neither can."""
    for flavor in FLAVORS:
        if flavor in sys.modules or importlib.util.find_spec(flavor) is not None:
            return flavor
    return FLAVORS[0]


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="model folder (default: the one that ships)")
    parser.add_argument(
        "--flavor",
        choices=FLAVORS,
        default=installed_flavor(),
        help="default: the one that is installed, tensorrt before tensorrt_rtx",
    )
    parser.add_argument(
        "--target", help="GPU generation, as SM89 (tensorrt_rtx; default: this machine's GPU)"
    )
    parser.add_argument("--precision", choices=("fp16", "bf16", "fp32"), default="fp16")
    parser.add_argument("--max-batch", type=int, default=8, help="objects in one call")
    parser.add_argument("--max-points", type=int, default=16, help="of one object; a box has 2")
    parser.add_argument(
        "--workspace", type=int, default=0, metavar="MIB", help="of scratch memory (default: all)"
    )
    parser.add_argument("--out", type=Path, help="default: engines in the model folder")
    parser.add_argument(
        "--timing-cache", type=Path, help="default: timing.cache beside the engines"
    )
    parser.add_argument("--force", action="store_true", help="build what is up to date again")
    parser.add_argument(
        "--image", type=Path, action="append", default=[], help="to verify on, with --box"
    )
    parser.add_argument(
        "--box",
        type=float,
        nargs=4,
        action="append",
        default=[],
        metavar=("X0", "Y0", "X1", "Y1"),
        help="of an object in each image, in pixels",
    )
    for name in GATE_LIMITS:
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=float, help="of the precision gate"
        )
    parser.add_argument("--verbose", action="store_true", help="also what TensorRT has to say")
    return parser.parse_args(argv)


def engine_options(given: argparse.Namespace) -> EngineOptions:
    """The options as the builder takes them.

    Raises:
        InvalidInputError: for a limit or an image that cannot be used.
    """
    from amodal_ros.model_folder.manifest import default_model_dir
    from amodal_ros.verification.measures import Limits as GateLimits
    from amodal_ros.verification.reference import read_scenes
    from export.trt.options import EngineOptions, Limits

    gate = {n: getattr(given, n) for n in GATE_LIMITS if getattr(given, n) is not None}
    return EngineOptions(
        model=given.model or default_model_dir(),
        flavor=given.flavor,
        target=given.target,
        precision=given.precision,
        limits=Limits(given.max_batch, given.max_points),
        workspace_mib=given.workspace,
        out=given.out,
        timing_cache=given.timing_cache,
        force=given.force,
        show_progress=sys.stderr.isatty(),
        scenes=read_scenes(given.image, given.box),
        gate=GateLimits(**gate),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    given = parse_arguments(argv)
    from amodal_ros.errors import AmodalError

    level = logging.DEBUG if given.verbose else logging.INFO
    logging.basicConfig(format="%(message)s")
    for name in ("amodal_ros", "export", __name__):
        logging.getLogger(name).setLevel(level)
    try:
        from export.trt.build_set import build_engine_set, summary

        engines = build_engine_set(engine_options(given))
    except AmodalError as error:
        logger.error("%s", error)
        return 1
    except ImportError as error:
        logger.error('%s; building needs: pip install -e ".[tensorrt]" onnx', error)
        return 1
    logger.info("%s", summary(engines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
