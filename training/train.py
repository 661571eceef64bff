# SPDX-License-Identifier: Apache-2.0
"""``python -m training.train``: train an amodal model (docs/training.md)."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.options import silence_packages

if TYPE_CHECKING:
    from training.trainer.loading import DataSource

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None, source: DataSource | None = None) -> int:
    """Train, or measure a step with ``--dry-run``.

    Returns:
        0 when the run is finished or a signal stopped it, 1 with a message when it failed.
    """
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    silence_packages()

    from amodal_ros.errors import AmodalError

    try:
        _run(arguments, source)
    except AmodalError as error:
        logger.error("%s", error)
        return 1
    return 0


def _run(arguments: argparse.Namespace, source: DataSource | None) -> None:
    from training.trainer.config_files import load_config
    from training.trainer.dry_run import dry_run_phases
    from training.trainer.loading import default_source
    from training.trainer.phases import phases_of
    from training.trainer.recipe import Recipe
    from training.trainer.run_folder import RunFolder
    from training.trainer.world import World

    if source is None:
        source = default_source()
    config = load_config(arguments.config, arguments.overrides, data_schema=source.schema)
    phases = phases_of(config)
    folder = RunFolder(arguments.run or Path("runs") / arguments.config.stem)
    world = World.launch(config.devices)
    try:
        if arguments.dry_run:
            dry_run_phases(phases, source, world, folder)
            return
        recipe = Recipe(config, phases, source, world, folder)
        if arguments.resume:
            recipe.resume(allow_changes=arguments.allow_changes)
        else:
            recipe.start(arguments.from_state)
        result = recipe.train()
        if world.is_main and result.is_finished:
            logger.info("finished %d steps; %s", result.step, folder.checkpoints)
    finally:
        world.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.train", description="Train an amodal model."
    )
    parser.add_argument("--config", type=Path, required=True, help="YAML file, training/configs/")
    parser.add_argument(
        "--run", type=Path, help="folder of this run (default: runs/NAME_OF_THE_CONFIG)"
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in that folder")
    parser.add_argument(
        "--from-state",
        type=Path,
        metavar="FILE",
        help="begin the folder with a state that training.keep wrote, and go on from there",
    )
    parser.add_argument(
        "--allow-changes",
        action="store_true",
        help="with --resume: go on although the configuration differs from the run's",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="do a few steps, say what they need of time and memory, and write nothing",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="settings that replace those of the file: optimiser.lr=1e-3, model=sam_vit_l",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
