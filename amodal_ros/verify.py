# SPDX-License-Identifier: Apache-2.0
"""Check a model folder, or its engines, on the machine where they run, against fp32 masks.

``python -m amodal_ros.verify [MODEL_DIR]`` exits with 1 when the masks differ too much.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from amodal_ros.backends.onnxruntime.backend import CPU_PROVIDER, OnnxRuntimeBackend
from amodal_ros.backends.tensorrt.library import FLAVORS
from amodal_ros.errors import AmodalError, InvalidInputError, ManifestError
from amodal_ros.loading import AUTO, BACKENDS, ONNXRUNTIME, EngineOptions, open_backend
from amodal_ros.model_folder.manifest import ModelManifest, default_model_dir, load_manifest
from amodal_ros.model_folder.memory import load_memory, with_memory
from amodal_ros.model_folder.small import load_small
from amodal_ros.verification.gate import run_gate
from amodal_ros.verification.measures import GateReport, Limits
from amodal_ros.verification.reference import Scene, load_reference, read_scenes

if TYPE_CHECKING:
    from amodal_ros.backends.base import Backend

logger = logging.getLogger(__name__)


def verify_model_dir(
    path: str | Path,
    engine: EngineOptions | None = None,
    *,
    against: Path | None = None,
    scenes: Sequence[Scene] = (),
    limits: Limits | None = None,
    small: bool = False,
) -> GateReport:
    """Compares a model folder's engine with fp32 masks.

    Args:
        path: the model folder.
        engine: by name; None: ONNX Runtime on the CPU.
        against: model folder whose graphs give the fp32 masks, on ONNX Runtime's CPU provider;
            None: the same folder's, unless that is what is under test.
        scenes: to compare on, beside the reference.
        limits: what passes.
        small: verify the graphs of the smaller size in place of the full one's.

    Raises:
        ManifestError: for a folder that is incomplete or altered, or has no smaller size.
        BackendError: when an engine fails.
        InvalidInputError: for scenes with nothing to compare with.
    """
    options = engine or EngineOptions(ONNXRUNTIME)
    manifest = load_manifest(path)
    memory = load_memory(Path(path))
    if small:
        found = load_small(manifest)
        if found is None or options.backend in FLAVORS:
            raise ManifestError(f"{path}: no graphs of a smaller size that {options.backend} runs")
        manifest, memory = found, None
    itself = options.backend == ONNXRUNTIME and options.on_cpu
    if scenes and itself and against is None:
        raise InvalidInputError(
            "images: expected a folder to compare with (--against), since this one's graphs on the"
            " CPU are what is under test"
        )
    candidate = open_backend(with_memory(manifest, memory), options)
    fp32: Backend | None = None
    try:
        if against is not None or not itself:
            fp32 = OnnxRuntimeBackend(_like(manifest, path if against is None else against))
        reference = load_reference(manifest.reference_path)
        return run_gate(
            manifest,
            candidate,
            fp32,
            scenes,
            reference=reference,
            limits=limits,
            memory=memory,
            max_batch=options.rows,
        )
    finally:
        candidate.close()
        if fp32 is not None:
            fp32.close()


def _like(manifest: ModelManifest, folder: str | Path) -> ModelManifest:
    """The manifest of a folder of the same model, in another precision perhaps; all graphs."""
    other = load_manifest(folder)
    for name in ("family", "mode", "geometry", "image_size"):
        if getattr(other, name) != getattr(manifest, name):
            raise InvalidInputError(
                f"{folder}: expected {name} {getattr(manifest, name)!r} as in"
                f" {manifest.directory}, got {getattr(other, name)!r}"
            )
    return with_memory(other, load_memory(Path(folder)))


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="amodal_ros.verify", description=__doc__)
    parser.add_argument("model_dir", nargs="?", type=Path, help="default: the one that ships")
    engines = [name for name in BACKENDS if name != AUTO]
    parser.add_argument("--backend", choices=engines, default=ONNXRUNTIME)
    parser.add_argument("--device", default="CPU", help="of OpenVINO: CPU, GPU, NPU")
    parser.add_argument("--precision", default="auto", help="of OpenVINO: auto, f32, bf16, f16")
    parser.add_argument(
        "--providers", nargs="+", default=[CPU_PROVIDER], help="of ONNX Runtime, preferred first"
    )
    parser.add_argument(
        "--engines",
        type=Path,
        help="folder of compiled engines (default: TensorRT's in the model folder, OpenVINO's in"
        " the user's cache)",
    )
    parser.add_argument(
        "--against", type=Path, help="model folder that gives the fp32 masks (default: the same)"
    )
    parser.add_argument("--image", type=Path, action="append", default=[], help="to compare on")
    parser.add_argument(
        "--box",
        type=float,
        nargs=4,
        action="append",
        default=[],
        metavar=("X0", "Y0", "X1", "Y1"),
        help="of an object in each image, in pixels",
    )
    parser.add_argument("--max-batch", type=int, default=8)
    parser.add_argument(
        "--small", action="store_true", help="verify the graphs of the model's smaller size"
    )
    for entry in fields(Limits):
        option = f"--{entry.name.replace('_', '-')}"
        parser.add_argument(option, type=float, default=entry.default)
    parser.add_argument("--json", type=Path, help="file for the report")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    options = parse_options(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = default_model_dir() if options.model_dir is None else options.model_dir
    if options.json is not None and not options.json.parent.is_dir():
        logger.error("%s: cannot be written: its folder does not exist", options.json)
        return 1
    try:
        engine = EngineOptions(
            options.backend,
            providers=options.providers,
            device=options.device,
            precision=options.precision,
            max_batch=options.max_batch,
            cache_dir=options.engines,
        )
        report = verify_model_dir(
            folder,
            engine,
            against=options.against,
            scenes=read_scenes(options.image, options.box),
            limits=Limits(*(getattr(options, entry.name) for entry in fields(Limits))),
            small=options.small,
        )
    except AmodalError as error:
        logger.error("%s", error)
        return 1
    logger.info("%s", report)
    if options.json is not None:
        text = json.dumps(report.to_json(), indent=2) + "\n"
        try:
            options.json.write_text(text, encoding="utf-8")
        except OSError as error:
            logger.error("%s: cannot be written: %s", options.json, error)
            return 1
    return 1 if report.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
