# SPDX-License-Identifier: Apache-2.0
"""Options that all commands share which render clips."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_clip_options(parser: argparse.ArgumentParser, clips: int, frames: int) -> None:
    """Adds where to render to, how many clips of which objects, and from which seed.

    Args:
        parser: of the command.
        clips: default number of clips.
        frames: default number of pictures in a clip.
    """
    parser.add_argument("--out", type=Path, required=True, help="new folder for the dataset")
    parser.add_argument("--clips", type=int, default=clips, help=f"clips ({clips})")
    parser.add_argument(
        "--frames", type=int, default=frames, help=f"pictures in a clip ({frames})"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything (0)")
    parser.add_argument(
        "--objects",
        choices=("household", "second", "slender"),
        default="household",
        help="object set (household)",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--cache", type=Path, help="for downloads (the user's cache folder)")
