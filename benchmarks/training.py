# SPDX-License-Identifier: Apache-2.0
"""Samples per second of training: ``python -m benchmarks.training --config F [key=value …]``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.trainer.loading import DataSource

RESULT = "training_throughput.json"
CONFIG = Path("training/configs/embedded/recipe.yaml")


def main(argv: Sequence[str] | None = None, source: DataSource | None = None) -> int:
    """Measure some steps and write the result; 1 with a message when that is impossible."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

    from amodal_ros.errors import AmodalError

    try:
        _measure(arguments, source)
    except AmodalError as error:
        logging.error("%s", error)
        return 1
    return 0


def _measure(arguments: argparse.Namespace, source: DataSource | None) -> None:
    import torch

    from benchmarks.common import write_result
    from training.trainer.build import build_run
    from training.trainer.config_files import config_to_dict, load_config
    from training.trainer.dry_run import measure_steps
    from training.trainer.loading import default_source
    from training.trainer.phases import phases_of
    from training.trainer.world import World

    source = default_source() if source is None else source
    config = load_config(arguments.config, arguments.overrides, data_schema=source.schema)
    world = World.launch(config.devices)
    try:
        run = build_run(phases_of(config)[arguments.phase], source, world)
        cost = measure_steps(run, arguments.warm_up, arguments.steps)
        if world.is_main:
            seconds = cost.data_s + cost.compute_s
            settings = {
                "warm_up_steps": arguments.warm_up,
                "measured_steps": arguments.steps,
                "devices": world.size,
                "device": _device_name(world.device),
                "threads": torch.get_num_threads(),
                "config": config_to_dict(config),
            }
            results = {
                "samples_per_s": round(run.plan.size / seconds, 3),
                "samples_per_s_without_waiting_for_data": round(run.plan.size / cost.compute_s, 3),
                "step": asdict(cost),
            }
            write_result(arguments.out, "training throughput", settings, results)
            print(f"{results['samples_per_s']} samples/s, written to {arguments.out}")
    finally:
        world.close()


def _device_name(device: object) -> str:
    import torch

    if isinstance(device, torch.device) and device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(device)


def _parser() -> argparse.ArgumentParser:
    from benchmarks.common import RESULTS

    parser = argparse.ArgumentParser(description="Samples per second of training.")
    parser.add_argument(
        "--config", type=Path, default=CONFIG, help="YAML file, training/configs/ (%(default)s)"
    )
    parser.add_argument("--phase", type=int, default=0, help="of a configuration with phases (0)")
    parser.add_argument("--warm-up", type=int, default=2, help="steps before (default: 2)")
    parser.add_argument("--steps", type=int, default=10, help="steps measured (default: 10)")
    parser.add_argument("--out", type=Path, default=RESULTS / RESULT, help="JSON file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as of training.train")
    return parser


if __name__ == "__main__":
    sys.exit(main())
