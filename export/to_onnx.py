#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Export an amodal model to a model folder: three ONNX graphs, their manifest, a reference.

Nothing is written unless the graphs, run in ONNX Runtime, agree with the torch model.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
    from amodal_ros.modeling.base_weights import BaseWeights
    from export.onnx_graph import Component
    from export.parity import ParityReport

logger = logging.getLogger(__name__)

UNTRAINED = "none"


@dataclass(frozen=True)
class ExportOptions:
    """What to export and where to.

    Attributes:
        base: Official checkpoint, or folder with ``encoder.onnx`` and ``sam.onnx``.
        checkpoint: Adapters, or None for untrained ones.
        out: The model folder.
        precision: Of the stored weights: ``fp16`` or ``fp32``; computed in fp32 always.
        image_size: Side of the input; None: the checkpoint's, or 1024.
        name: In the manifest.
        seed: Of untrained adapters and of the inputs of the parity check.
        min_mask_iou: With the fp32 masks of the reference scene.
        max_iou_error: Likewise, of the predicted IoU.
    """

    base: Path
    checkpoint: Path | None
    out: Path
    precision: str = "fp16"
    image_size: int | None = None
    name: str = "amodal_mobilesam"
    seed: int = 0
    min_mask_iou: float = 0.995
    max_iou_error: float = 0.02


def export_model(options: ExportOptions) -> ParityReport:
    """Export a model; the folder appears complete and verified, or not at all.

    Raises:
        CheckpointError: Weights are unreadable or do not fit each other.
        InvalidInputError: The base cannot be exported, or ``out`` is no model folder.
        BackendError: The graphs do not agree with torch.
    """
    from export.model_folder import check_replaceable, publish

    check_replaceable(options.out)
    model, source, trained = build_model(options)
    logger.info("exporting the graphs (about a minute)")
    components = export_components(model, options.precision)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out.parent, prefix=".export-") as temporary:
        folder = Path(temporary) / "folder"
        folder.mkdir()
        report = fill_folder(folder, model, components, options, source=source, trained=trained)
        publish(folder, options.out)
    return report


def build_model(options: ExportOptions) -> tuple[AmodalMobileSam, dict[str, Any], bool]:
    """Build the model from its files; also what the manifest says of them, and if trained."""
    import torch

    from amodal_ros.errors import InvalidInputError
    from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
    from amodal_ros.modeling.base_weights import read_base_weights
    from amodal_ros.modeling.checkpoint import load_checkpoint, read_header
    from amodal_ros.modeling.config import AmodalConfig
    from amodal_ros.modeling.official_checkpoints import file_sha256

    weights: BaseWeights = read_base_weights(options.base)
    if weights.identity.member != "mobile_sam":
        raise InvalidInputError(
            f"{options.base} holds {weights.identity.member}; expected mobile_sam to export"
        )
    header = None if options.checkpoint is None else read_header(options.checkpoint)
    config = AmodalConfig(base="mobile_sam") if header is None else header.config
    if options.image_size is not None:
        config = AmodalConfig.from_dict({**config.to_dict(), "image_size": options.image_size})
    torch.manual_seed(options.seed)
    model = AmodalMobileSam.from_state(config, weights.state)
    source: dict[str, Any] = {
        "base": weights.identity.name,
        "sha256": dict(weights.identity.files),
        "config": config.to_dict(),
        "adapter_sha256": None,
    }
    if options.checkpoint is not None:
        load_checkpoint(options.checkpoint, model, weights.identity)
        source["adapter_sha256"] = file_sha256(options.checkpoint)
    return model, source, bool(header is not None and header.training)


def export_components(model: AmodalMobileSam, precision: str) -> list[Component]:
    """Export the three graphs of a model."""
    from dataclasses import replace

    from export.components.decoder import export_decoder
    from export.components.prefix import export_prefix
    from export.components.suffix import export_suffix
    from export.half_storage import store_weights_as_half
    from export.onnx_graph import prepare

    base: Any = model.base
    encoder = prepare(model.encoder)
    size = model.config.image_size
    prefix = export_prefix(encoder, size)
    suffix = export_suffix(encoder, size, prefix.outputs[0].shape)
    components = [prefix, suffix, export_decoder(base.prompt_encoder, base.mask_decoder)]
    if precision == "fp32":
        return components
    return [replace(c, model=store_weights_as_half(c.model)) for c in components]


def fill_folder(
    folder: Path,
    model: AmodalMobileSam,
    components: Sequence[Component],
    options: ExportOptions,
    *,
    source: dict[str, Any],
    trained: bool,
) -> ParityReport:
    """Write a model folder and verify it.

    Raises:
        BackendError: The graphs do not agree with torch.
    """
    from amodal_ros.errors import BackendError
    from amodal_ros.manifest import load_manifest, parse_manifest
    from amodal_ros.modeling.mobile_sam_base import EMBEDDING_STRIDE, PIXEL_MEAN, PIXEL_STD
    from amodal_ros.verify import save_reference
    from export.model_folder import (
        REFERENCE_FILE,
        FolderContent,
        manifest_content,
        write_graphs,
        write_manifest,
    )
    from export.parity import TOLERANCES, measure_parity
    from export.reference import make_reference
    from export.torch_backend import TorchBackend

    size = model.config.image_size
    content = FolderContent(
        name=options.name,
        family="mobile_sam",
        image_size=size,
        embedding_size=size // EMBEDDING_STRIDE,
        mean=PIXEL_MEAN,
        std=PIXEL_STD,
        weights_precision=options.precision,
        trained=trained,
        source=source,
    )
    write_graphs(folder, components)
    (folder / REFERENCE_FILE).write_bytes(b"\0")  # the manifest is needed to compute it
    draft = parse_manifest(manifest_content(folder, components, content), folder)
    reference = make_reference(draft, model)
    save_reference(folder / REFERENCE_FILE, reference)
    write_manifest(folder, manifest_content(folder, components, content))
    report = measure_parity(
        load_manifest(folder), TorchBackend(model), reference, seed=options.seed
    )
    failures = report.failures(
        TOLERANCES[options.precision], options.min_mask_iou, options.max_iou_error
    )
    if failures:
        raise BackendError("the graphs do not agree with torch: " + "; ".join(failures))
    return report


def parse_options(argv: Sequence[str] | None) -> ExportOptions:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--base", type=Path, required=True, help="mobile_sam.pt, or folder of the two ONNX files"
    )
    parser.add_argument(
        "--checkpoint", required=True, help=f"adapters (.safetensors), or '{UNTRAINED}'"
    )
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument(
        "--precision", choices=("fp16", "fp32"), default="fp16", help="of the stored weights"
    )
    parser.add_argument("--mode", choices=("full",), default="full")
    parser.add_argument("--size", type=int, help="side of the square input, a multiple of 32")
    parser.add_argument("--name", default=ExportOptions.name, help="in the manifest")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    return ExportOptions(
        base=given.base,
        checkpoint=None if given.checkpoint == UNTRAINED else Path(given.checkpoint),
        out=given.out,
        precision=given.precision,
        image_size=given.size,
        name=given.name,
        seed=given.seed,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    options = parse_options(argv)
    from amodal_ros.errors import AmodalError

    logging.basicConfig(format="%(message)s")  # the exporters' own loggers are chatty
    for name in ("amodal_ros", "export", __name__):
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        report = export_model(options)
    except AmodalError as error:
        logger.error("%s", error)
        return 1
    size = sum(path.stat().st_size for path in options.out.iterdir()) / 1e6
    logger.info("%s\n%s: %.1f MB, verified", report, options.out, size)
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main())
