# SPDX-License-Identifier: Apache-2.0
"""``python -m training.keep``: write a run's newest small state (docs/training.md)."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from amodal_ros.errors import AmodalError, CheckpointError
from training.options import silence_packages

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the state; 1 with a message when the run has none that can be kept."""
    parser = argparse.ArgumentParser(
        prog="python -m training.keep",
        description="Write the newest state of a run that fits a source tree; "
        "training.train --from-state goes on from it, bit for bit.",
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--out", type=Path, required=True, help="file to write, *.pt")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    silence_packages()
    try:
        step = keep(arguments.run, arguments.out)
    except AmodalError as error:
        logger.error("%s", error)
        return 1
    size = arguments.out.stat().st_size / 1e6
    logger.info("%s: the state after step %d, %.1f MB", arguments.out, step, size)
    return 0


def keep(run: Path, out: Path) -> int:
    """Write the newest state of a step that ``checkpoint.round_every`` divides.

    Returns:
        The step.

    Raises:
        CheckpointError: The run rounds no state, or no such checkpoint is left.
    """
    from training.trainer.checkpoints import CheckpointFolder
    from training.trainer.run_folder import CONFIG, RunFolder, read_config_dict
    from training.trainer.state import write_kept

    every = int(read_config_dict(run / CONFIG)["checkpoint"]["round_every"])
    folder = CheckpointFolder(RunFolder(run).checkpoints, keep=1)
    steps = [step for step in folder.steps() if every and step % every == 0]
    if not steps:
        raise CheckpointError(
            f"{run}: expected a checkpoint of a step that checkpoint.round_every={every} divides, "
            f"got those of steps {folder.steps()}"
        )
    write_kept(out, folder.load(steps[-1]))
    return steps[-1]


if __name__ == "__main__":
    sys.exit(main())
