# SPDX-License-Identifier: Apache-2.0
"""Every member at its true width: from files in the official layout to engines for every GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from amodal_ros.model_folder.manifest import load_manifest
from amodal_ros.model_folder.memory import GRAPHS as VIDEO
from amodal_ros.model_folder.memory import load_memory
from amodal_ros.modeling.base_weights import read_base_weights
from amodal_ros.modeling.checkpoint import save_checkpoint
from amodal_ros.modeling.config import MEMBERS, SAM2_MEMBERS
from benchmarks.tensorrt_builds import PRECISIONS, TARGETS, build_rows
from tests.export.exported import random_source
from tests.modeling.family_support import SMALL

COMMAND = Path(__file__).resolve().parents[2] / "export" / "to_onnx.py"
# Cut early, so that the suffix's weights exceed 2 GB and lie beside the graph.
EARLY = {("sam_vit_h", "roi"): (1, 16, 24)}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", ["full", "roi"])
@pytest.mark.parametrize("base", MEMBERS)
def test_from_official_files_to_engines(base, mode, tmp_path):
    """The command verifies the graphs against torch; TensorRT for RTX parses and builds them."""
    positions = EARLY.get((base, mode), ())
    model = random_source(base, positions=positions).model
    state = model.base.state_dict()
    torch.save({"model": state} if base in SAM2_MEMBERS else state, tmp_path / "base.pt")
    identity = read_base_weights(tmp_path / "base.pt").identity
    assert identity.member == base
    save_checkpoint(tmp_path / "adapters.safetensors", model, identity, training={"steps": 1})
    del model, state
    out = tmp_path / "model"
    arguments = ["--base", str(tmp_path / "base.pt"), "--precision", "fp32", "--mode", mode]
    arguments += ["--checkpoint", str(tmp_path / "adapters.safetensors"), "--out", str(out)]
    # A process of its own: what it needs of memory with ViT-H is not needed again for the engines.
    subprocess.run([sys.executable, str(COMMAND), *arguments], check=True)
    (tmp_path / "base.pt").unlink()
    manifest = load_manifest(out)
    assert (manifest.mode, manifest.trained, manifest.image_size) == (mode, True, SMALL)
    assert manifest.source["random_weights"] is True
    assert (manifest.graphs["suffix"].data is not None) is bool(positions)
    graphs = set(manifest.graphs)
    has_video = mode == "full" and base in SAM2_MEMBERS
    assert (load_memory(out) is not None) is has_video
    if has_video:
        graphs |= set(VIDEO)

    rows = build_rows(manifest, TARGETS, PRECISIONS)
    assert {(row["target"], row["precision"]) for row in rows} == {
        (target, precision) for target in TARGETS for precision in PRECISIONS
    }
    for row in rows:
        engines = row["engines"]
        assert set(engines) == graphs
        low = sum(engine["tensors_in_16_bits"] for engine in engines.values())
        assert (low > 0) is (row["precision"] == "fp16")
        assert min(engine["mb"] for engine in engines.values()) > 0
