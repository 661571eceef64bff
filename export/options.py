# SPDX-License-Identifier: Apache-2.0
"""The command line of the export."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from amodal_ros.model_folder.manifest import MANIFEST_NAME
from export.fetch_base_weights import DEFAULT_FOLDER

UNTRAINED = "none"
MODES = ("full", "roi")
PRECISIONS = ("fp16", "fp32")
DEFAULT_ROI_FACTOR = 1.8
DEFAULT_OUT = Path("out/model")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to export and where to.

    Attributes:
        base: Official checkpoint, or folder with ``encoder.onnx`` and ``sam.onnx``.
        checkpoint: Adapters, or None for untrained ones.
        out: The model folder.
        precision: Of the stored weights: ``fp16`` or ``fp32``; computed in fp32 always.
        mode: ``full``: the whole image is encoded once; ``roi``: a crop per object.
        image_size: Side of the input; None: the checkpoint's, or 1024.
        small_size: With mode ``roi``: side of a second, smaller input; None: there is none.
        roi_factor: With mode ``roi``: side of the crop over the longer side of the box.
        positions: Of untrained adapters, as in ``AmodalConfig``; empty: the member's own.
        decoder_positions: Of untrained adapters in the decoder beside those, likewise.
        hidden_dim: Of untrained adapters; None: 64.
        like: Model folder whose architecture untrained adapters have; None: the three above say.
        name: In the manifest; None: after the base.
        seed: Of untrained adapters and of the inputs of the parity check.
        min_mask_iou: With the fp32 masks of the reference scene.
        max_iou_error: Likewise, of the predicted IoU.
    """

    base: Path
    out: Path
    checkpoint: Path | None = None
    precision: str = "fp16"
    mode: str = "full"
    image_size: int | None = None
    small_size: int | None = None
    roi_factor: float = DEFAULT_ROI_FACTOR
    positions: tuple[int, ...] = ()
    decoder_positions: tuple[int, ...] = ()
    hidden_dim: int | None = None
    like: Path | None = None
    name: str | None = None
    seed: int = 0
    min_mask_iou: float = 0.995
    max_iou_error: float = 0.02


def check_options(options: ExportOptions) -> None:
    """Check what can be told before anything is read.

    Raises:
        InvalidInputError: A file does not exist, a number cannot be, or ``out`` holds something
            else.
    """
    for path in (options.base, options.checkpoint, options.like):
        if path is not None and not path.exists():
            raise InvalidInputError(f"{path}: no such file")
    if options.mode == "roi" and not options.roi_factor >= 1:
        raise InvalidInputError(f"roi_factor: expected at least 1, got {options.roi_factor}")
    if options.small_size is not None and options.mode != "roi":
        raise InvalidInputError(f"small_size: expected mode 'roi', got {options.mode!r}")
    check_replaceable(options.out)


def check_replaceable(out: Path) -> None:
    """Make sure that nothing but a model folder is replaced.

    Raises:
        InvalidInputError: ``out`` exists and is neither empty nor a model folder.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST_NAME).is_file():
        raise InvalidInputError(f"{out} exists and is no model folder; expected a new folder")
    unexpected = [path.name for path in out.iterdir() if path.is_dir()]
    if unexpected:
        raise InvalidInputError(f"{out} holds folders of its own: {unexpected}")


def parse_options(argv: Sequence[str] | None, description: str | None) -> ExportOptions:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--base",
        type=Path,
        help="official checkpoint of SAM, SAM 2, SAM 2.1 or MobileSAM, or a folder with a "
        "MobileSAM's encoder.onnx and sam.onnx (default: that one, fetched)",
    )
    parser.add_argument(
        "--checkpoint",
        default=UNTRAINED,
        help=f"adapters (.safetensors); left out, or '{UNTRAINED}': untrained ones, which leave "
        "the base model as it is",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_OUT,
        help="model folder to write (default: %(default)s)",
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp16", help="of the stored weights"
    )
    parser.add_argument(
        "--mode", choices=MODES, default="full", help="encode the image, or a crop per object"
    )
    parser.add_argument("--size", type=int, help="side of the square input, a multiple of 32")
    parser.add_argument(
        "--small-size",
        type=int,
        help="with --mode roi: side of a second, smaller input, for looks that a frame budget "
        "cannot afford at full size",
    )
    parser.add_argument(
        "--roi-factor",
        type=float,
        default=DEFAULT_ROI_FACTOR,
        help="with --mode roi: side of the crop over the longer side of the box (default: "
        "%(default)s)",
    )
    _add_untrained(parser)
    parser.add_argument("--name", help="in the manifest (default: amodal_ and the base's name)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    return ExportOptions(
        base=given.base or DEFAULT_FOLDER,
        checkpoint=None if given.checkpoint == UNTRAINED else Path(given.checkpoint),
        out=given.out,
        precision=given.precision,
        mode=given.mode,
        image_size=given.size,
        small_size=given.small_size,
        roi_factor=given.roi_factor,
        positions=tuple(given.positions),
        decoder_positions=tuple(given.decoder_positions),
        hidden_dim=given.hidden_dim,
        like=given.like,
        name=given.name,
        seed=given.seed,
    )


def _add_untrained(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--positions",
        type=int,
        nargs="+",
        default=(),
        help="of untrained adapters (a checkpoint knows its own)",
    )
    parser.add_argument(
        "--decoder-positions",
        type=int,
        nargs="+",
        default=(),
        help="of untrained adapters in the decoder, beside those",
    )
    parser.add_argument("--hidden-dim", type=int, help="width of untrained adapters")
    parser.add_argument(
        "--like", type=Path, help="model folder whose architecture untrained adapters have"
    )
