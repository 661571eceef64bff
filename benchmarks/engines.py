# SPDX-License-Identifier: Apache-2.0
"""The engines of this machine side by side: the gate, and many objects in one frame.

``python -m benchmarks.engines --out FILE --engine openvino --engine
onnxruntime:CUDAExecutionProvider --engine tensorrt:FOLDER`` (what follows the colon is the
execution provider, OpenVINO's device and precision as ``CPU,f32``, or the folder of engines).
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amodal_ros.errors import AmodalError, InvalidInputError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.loading import EngineOptions, load_engine
from amodal_ros.model_folder.manifest import default_model_dir, load_manifest
from amodal_ros.reporting import measure, summarise
from benchmarks.common import model_facts, time_frames, write_result
from export.benchmarking.scene import draw_scene

logger = logging.getLogger(__name__)


def parse_engine(text: str, threads: int) -> EngineOptions:
    """An engine as the command line names it.

    Raises:
        InvalidInputError: when it cannot be understood.
    """
    kind, _, rest = text.partition(":")
    if kind == "onnxruntime":
        return EngineOptions(kind, providers=(rest or "CPUExecutionProvider",), threads=threads)
    if kind == "openvino":
        device, _, precision = rest.partition(",")
        return EngineOptions(
            kind, device=device or "CPU", precision=precision or "auto", threads=threads
        )
    if kind in ("tensorrt", "tensorrt_rtx"):
        return EngineOptions(kind, cache_dir=Path(rest) if rest else None)
    raise InvalidInputError(f"engine: expected onnxruntime, openvino or tensorrt, got {text!r}")


def measure_engine(
    model: Path, options: EngineOptions, objects: Sequence[int], repeats: int
) -> dict[str, Any]:
    """Loads an engine, which its gate may refuse, and times frames of many objects."""
    manifest = load_manifest(model)
    engine = load_engine(manifest, options)
    predictor = AmodalPredictor(
        manifest,
        engine.backend,
        engine.options.rows,
        parallel=not engine.options.on_cpu,
        ask_twice=True,  # as the node asks
        fine_edges=True,
    )
    try:
        frames = time_frames(predictor, objects, repeats)
        ahead = _ahead(predictor, repeats) if predictor.encodes_ahead else None
    finally:
        predictor.close()
    return {
        "engine": engine.backend.name,
        "gate": engine.verified,
        "rows": engine.options.rows,
        "frame_ms": frames,
        "encode_ahead": ahead,
    }


def _ahead(predictor: AmodalPredictor, repeats: int) -> dict[str, Any]:
    """Two frames one after the other, and with the second encoded during the first."""
    image, boxes = draw_scene(4)

    def serial() -> None:
        for _ in range(2):
            predictor.predict(predictor.encode(image), boxes)

    def overlapped() -> None:
        features, found = predictor.encode(image), []
        thread = threading.Thread(target=lambda: found.append(predictor.encode(image)))
        thread.start()
        predictor.predict(features, boxes)
        thread.join()
        predictor.predict(found[0], boxes)

    return {
        "serial_ms": summarise(measure(serial, 1, repeats)),
        "overlapped_ms": summarise(measure(overlapped, 1, repeats)),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns 1 when no engine ran."""
    parser = argparse.ArgumentParser(prog="benchmarks.engines", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--engine", action="append", required=True)
    parser.add_argument("--model", type=Path, default=default_model_dir())
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="on a CPU; 0: all cores")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found: dict[str, Any] = {}
    for text in given.engine:
        try:
            options = parse_engine(text, given.threads)
            found[text] = measure_engine(given.model, options, given.objects, given.repeats)
        except AmodalError as error:
            found[text] = {"failed": str(error)}
        logger.info("%s: %s", text, found[text])
    settings = {"objects": given.objects, "repeats": given.repeats, **model_facts(given.model)}
    write_result(given.out, "engines", settings, found)
    return 0 if any("failed" not in entry for entry in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
