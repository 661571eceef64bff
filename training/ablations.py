# SPDX-License-Identifier: Apache-2.0
"""``python -m training.ablations``: run the ablations and write their table (docs/training.md)."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from training.options import silence_packages

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[1]


def main(
    argv: Sequence[str] | None = None,
    train: Callable[[Sequence[str]], int] | None = None,
    evaluate: Callable[[Sequence[str]], int] | None = None,
) -> int:
    """Run what is not finished yet, one run after the other, and write the table.

    Args:
        argv: The command line; None for this process's.
        train: Takes the arguments of ``training.train`` and returns its exit code; None for a
            process of its own.
        evaluate: Likewise, of ``training.evaluate``.

    Returns:
        0 when all runs are finished, 1 when one failed or was stopped.
    """
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    silence_packages()

    from amodal_ros.errors import AmodalError

    try:
        return _run(
            arguments,
            partial(_in_process, "training.train") if train is None else train,
            partial(_in_process, "training.evaluate") if evaluate is None else evaluate,
        )
    except AmodalError as error:
        logger.error("%s", error)
        return 1


def _run(
    arguments: argparse.Namespace,
    train: Callable[[Sequence[str]], int],
    evaluate: Callable[[Sequence[str]], int],
) -> int:
    from amodal_ros.errors import InvalidInputError
    from amodal_ros.reporting import git_commit, put_block
    from training.ablation.paper import SERIES
    from training.ablation.results import (
        VALIDATION,
        collect,
        document_block,
        is_finished,
        read_evaluation,
        run_path,
        table,
        write_results,
    )
    from training.trainer.run_folder import RunFolder

    series, sets = SERIES[arguments.series], _sets(arguments.on)
    names = series.names()
    configs = arguments.only or names
    unknown = sorted(set(configs) - set(names))
    if unknown:
        raise InvalidInputError(f"unknown ablations {unknown}; there are {names}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    status = 0
    # Seed by seed, so that an interrupted series has comparable runs.
    pairs = [(seed, config) for seed in arguments.seeds for config in configs]
    for number, (seed, config) in enumerate(pairs, 1):
        run = run_path(arguments.out, config, seed)
        if is_finished(run):
            status |= _evaluate(run, sets, evaluate)
            continue
        logger.info("run %d of %d: %s, seed %d", number, len(pairs), config, seed)
        command = ["--config", str(series.configs / f"{config}.yaml"), "--run", str(run)]
        command += ["--resume"] if RunFolder(run).exists() else []
        code = train([*command, f"seed={seed}", *arguments.overrides])
        if code or not is_finished(run):
            logger.error("%s, seed %d did not finish (exit code %d)", config, seed, code)
            status = 1
            break
        status |= _evaluate(run, sets, evaluate)
    # All that is there, so that a choice of runs does not lose the others.
    results = {VALIDATION: collect(arguments.out, names)} | {
        name: collect(arguments.out, names, partial(read_evaluation, name=name)) for name in sets
    }
    about = {"commit": git_commit(), "seeds": arguments.seeds, "overrides": arguments.overrides}
    write_results(arguments.out, results, series.rows, about)
    if arguments.document is not None:
        put_block(arguments.document, "ablations", document_block(results, series.rows))
    for name, found in results.items():
        print(f"{name}\n\n{table(found, series.rows)}")
    return status


def _sets(given: Sequence[str]) -> dict[str, Path]:
    """The sets to evaluate on, by name."""
    from amodal_ros.errors import InvalidInputError

    sets: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not name or not Path(path).is_file():
            raise InvalidInputError(f"--on: expected NAME=FILE.json of amodal_coco, got {text!r}")
        sets[name] = Path(path)
    return sets


def _evaluate(
    run: Path, sets: Mapping[str, Path], evaluate: Callable[[Sequence[str]], int]
) -> int:
    """Evaluate a finished run on the sets where that was not done; 1 where one fails."""
    from training.ablation.results import evaluation_path, read_evaluation
    from training.trainer.config_files import read_config_dict
    from training.trainer.run_folder import CONFIG

    base = read_config_dict(run / CONFIG).get("base_weights", "")
    for name, file in sets.items():
        if read_evaluation(run, name) is not None:
            continue
        command = ["--model", str(run / "checkpoints" / "last" / "adapters.safetensors")]
        command += ["--base", str(base), "--dataset", "amodal_coco", "--root", str(file.parent)]
        command += ["--annotations", str(file), "--out", str(evaluation_path(run, name))]
        if evaluate(command):
            logger.error("%s could not be evaluated on %s", run, name)
            return 1
    return 0


def _in_process(module: str, arguments: Sequence[str]) -> int:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=_ROOT, check=False).returncode


def _parser() -> argparse.ArgumentParser:
    from training.ablation.paper import SERIES

    parser = argparse.ArgumentParser(
        prog="python -m training.ablations",
        description="Run the ablations and write their table. Finished runs are kept.",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"), help="folder of runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument(
        "--series",
        choices=tuple(SERIES),
        default="paper",
        help="the paper's tables at a small scale, or the one-pass recipe at a quarter of its "
        "samples (default: paper)",
    )
    parser.add_argument(
        "--on",
        nargs="+",
        default=[],
        metavar="NAME=FILE.json",
        help="evaluate every finished run on these sets too (amodal_coco)",
    )
    parser.add_argument("--only", nargs="+", help="names of the series' configurations")
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
