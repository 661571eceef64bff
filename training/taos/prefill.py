# SPDX-License-Identifier: Apache-2.0
"""``python -m training.taos.prefill``: render all views of 3D models into the cache.

MuJoCo's software renderer and torch cannot live in one process (it crashes), so that training
renders here, in a process of its own, before it composes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amodal_ros.errors import InvalidInputError
from training.taos.config import TaosConfig

logger = logging.getLogger(__name__)


def prefill_renders(materials: Sequence[str], config: TaosConfig, cache: Path) -> None:
    """Render the `render:` sources among the materials in a process of its own.

    Raises:
        InvalidInputError: the process failed; its message is on standard error.
    """
    renders = [material for material in materials if material.startswith("render:")]
    if not renders:
        return
    settings = json.dumps(dataclasses.asdict(config))
    command = [sys.executable, "-m", "training.taos.prefill", "--cache", str(cache)]
    done = subprocess.run([*command, "--settings", settings, *renders], check=False)
    if done.returncode:
        raise InvalidInputError(f"rendering {', '.join(renders)} failed ({done.returncode})")


def main(argv: Sequence[str] | None = None) -> int:
    """Render, and say how many models there are."""
    parser = argparse.ArgumentParser(
        prog="python -m training.taos.prefill", description="Render 3D models into the cache."
    )
    parser.add_argument("sources", nargs="+", help="render:PATH")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the views")
    parser.add_argument("--settings", default="{}", help="JSON of TaosConfig")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("OpenGL").setLevel(logging.WARNING)  # it tells what it could have used

    from training.taos.sources.render import RenderSource

    settings = json.loads(arguments.settings)
    tuples: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()
    }
    config = TaosConfig(**tuples)
    for spec in arguments.sources:
        source = RenderSource(spec, Path(spec.partition(":")[2]), config, arguments.cache)
        usable, unusable = source.prefill()
        logger.info("%s: %d models are usable, %d are not", spec, usable, unusable)
    return 0


if __name__ == "__main__":
    sys.exit(main())
