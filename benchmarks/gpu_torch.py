# SPDX-License-Identifier: Apache-2.0
"""The architecture of the shipped model in torch on a GPU: milliseconds for many objects.

Its weights are random: they cost what trained ones cost, and nothing has to be fetched.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import default_model_dir, load_manifest
from amodal_ros.modeling.build import build_amodal
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.torch_backend import TorchBackend
from benchmarks.common import time_frames, write_result


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu_torch", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args(argv)
    manifest = load_manifest(default_model_dir())
    config = AmodalConfig.from_dict(manifest.source["config"])
    model = build_amodal(config).eval().to(given.device)
    engine = TorchBackend(model)
    described = engine.manifest("torch", roi_factor=manifest.roi_factor)
    predictor = AmodalPredictor(described, engine)
    frames = time_frames(predictor, given.objects, given.repeats)
    facts = {"device": given.device, "torch": torch.__version__, "weights": "random"}
    write_result(given.out, "torch", facts, {"frame_ms": frames})
    return 0


if __name__ == "__main__":
    sys.exit(main())
