# SPDX-License-Identifier: Apache-2.0
"""Print what a file is: ``python -m training.info FILE``.

Knows our checkpoints (base model, configuration, training run), the official checkpoints of SAM,
SAM 2, SAM 2.1 and MobileSAM, folders of ONNX base weights, and model folders.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 1 for a file that is none of these."""
    parser = argparse.ArgumentParser(
        prog="python -m training.info", description="Print what a checkpoint or model folder is."
    )
    parser.add_argument("file", type=Path, help="a file, or a folder of ONNX files")
    path: Path = parser.parse_args(argv).file

    from amodal_ros.errors import AmodalError
    from amodal_ros.modeling.describe import describe_checkpoint

    try:
        lines = describe_checkpoint(path)
    except AmodalError as error:
        print(error, file=sys.stderr)
        return 1
    width = max(len(name) for name in lines)
    for name, value in lines.items():
        print(f"{name:<{width}}  {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
