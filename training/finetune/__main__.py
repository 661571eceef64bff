# SPDX-License-Identifier: Apache-2.0
"""``python -m training.finetune``: learn a robot's own objects (docs/your-own-objects.md)."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.options import silence_packages

if TYPE_CHECKING:
    from training.finetune.pipeline import Result

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Fine-tune; 0 with a better model folder, or where a signal stopped it; else 1."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for name in ("amodal_ros", "training", "export", __name__):
        logging.getLogger(name).setLevel(logging.INFO)
    silence_packages()

    from amodal_ros.errors import AmodalError
    from training.options import from_options

    try:
        from training.finetune.pipeline import finetune, report_markdown
        from training.finetune.settings import FinetuneSettings

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its import raises it
        settings = from_options(FinetuneSettings, arguments)
        result = finetune(settings)
    except AmodalError as error:
        logger.error("%s", error)
        return 1
    except ImportError as error:
        logger.error(
            '%s; this needs: pip install -e ".[torch]" -r requirements/train.txt -r '
            "requirements/export.txt",
            error,
        )
        return 1
    if result is None:
        logger.info("stopped; the same command goes on")
        return 0
    text = report_markdown(result)
    (settings.out / "report.md").write_text(text, encoding="utf-8")
    print(text)
    return _conclude(result)


def _conclude(result: Result) -> int:
    if result.model is None:
        logger.error("the older model stays: %s", result.reason)
        return 1
    folder = result.model.resolve()
    print(f"ros2 launch amodal_ros perception.launch.py model_dir:={folder}")
    return 0


def _parser() -> argparse.ArgumentParser:
    from training.finetune.settings import FinetuneSettings
    from training.options import add_options

    parser = argparse.ArgumentParser(
        prog="python -m training.finetune",
        description="Teach the model a robot's own objects: about twenty photos with masks, "
        "cut-outs, or a few 3D models.",
        epilog="A killed run goes on where it stopped when the same command is given again.",
    )
    parser.add_argument(
        "--source",
        action="extend",
        nargs="+",
        required=True,
        metavar="KIND:PATH",
        help=_said("source"),
    )
    parser.add_argument(
        "--general",
        action="extend",
        nargs="+",
        default=[],
        metavar="KIND:PATH",
        help=_said("general"),
    )
    add_options(parser, FinetuneSettings, leave_out=("source", "general"))
    return parser


def _said(name: str) -> str:
    from training.finetune.settings import FinetuneSettings
    from training.options import attribute_texts

    return attribute_texts(FinetuneSettings)[name].replace("%", "%%")


if __name__ == "__main__":
    sys.exit(main())
