# SPDX-License-Identifier: Apache-2.0
"""``python -m training.ablations``: run the ablations and write their table (docs/training.md)."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from training.quiet import silence_packages

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[1]
_CONFIGS = _ROOT / "training" / "configs" / "ablations"


def main(
    argv: Sequence[str] | None = None, train: Callable[[Sequence[str]], int] | None = None
) -> int:
    """Run what is not finished yet, one run after the other, and write the table.

    Args:
        argv: The command line; None for this process's.
        train: Takes the arguments of ``training.train`` and returns its exit code; None for a
            process of its own.

    Returns:
        0 when all runs are finished, 1 when one failed or was stopped.
    """
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    silence_packages()

    from amodal_ros.errors import AmodalError

    try:
        return _run(arguments, _train_in_process if train is None else train)
    except AmodalError as error:
        logger.error("%s", error)
        return 1


def _run(arguments: argparse.Namespace, train: Callable[[Sequence[str]], int]) -> int:
    from amodal_ros.errors import InvalidInputError
    from amodal_ros.reporting import git_commit, put_block
    from training.ablation.paper import config_names
    from training.ablation.results import (
        collect,
        document_block,
        is_finished,
        run_path,
        table,
        write_results,
    )
    from training.trainer.run_folder import RunFolder

    configs = arguments.only or config_names()
    unknown = sorted(set(configs) - set(config_names()))
    if unknown:
        raise InvalidInputError(f"unknown ablations {unknown}; there are {config_names()}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    status = 0
    # Seed by seed, so that an interrupted series has comparable runs.
    pairs = [(seed, config) for seed in arguments.seeds for config in configs]
    for number, (seed, config) in enumerate(pairs, 1):
        run = run_path(arguments.out, config, seed)
        if is_finished(run):
            continue
        logger.info("run %d of %d: %s, seed %d", number, len(pairs), config, seed)
        command = ["--config", str(arguments.configs / f"{config}.yaml"), "--run", str(run)]
        command += ["--resume"] if RunFolder(run).exists() else []
        code = train([*command, f"seed={seed}", *arguments.overrides])
        if code or not is_finished(run):
            logger.error("%s, seed %d did not finish (exit code %d)", config, seed, code)
            status = 1
            break
    # All that is there, so that a choice of runs does not lose the others.
    results = collect(arguments.out, config_names())
    about = {"commit": git_commit(), "seeds": arguments.seeds, "overrides": arguments.overrides}
    write_results(arguments.out, results, about)
    if arguments.document is not None:
        put_block(arguments.document, "ablations", document_block(results))
    print(table(results))
    return status


def _train_in_process(arguments: Sequence[str]) -> int:
    command = [sys.executable, "-m", "training.train", *arguments]
    return subprocess.run(command, cwd=_ROOT, check=False).returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.ablations",
        description="Run the ablations and write their table. Finished runs are kept.",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"), help="folder of runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--only", nargs="+", help="names of configs/ablations/*.yaml")
    parser.add_argument("--configs", type=Path, default=_CONFIGS, help="folder of those files")
    parser.add_argument(
        "--document",
        type=Path,
        metavar="FILE",
        help="put the table into the block '<!-- generated ablations -->' of this document too",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        nargs="*",
        default=[],
        metavar="key=value",
        help="settings for all runs",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
