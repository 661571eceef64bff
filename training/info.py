# SPDX-License-Identifier: Apache-2.0
"""Print what a file is: ``python -m training.info FILE``.

Knows our checkpoints (base model, configuration, training run), the official checkpoints of SAM,
SAM 2, SAM 2.1 and MobileSAM, folders of ONNX base weights, and model folders.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from amodal_ros.errors import AmodalError
from amodal_ros.files import file_sha256
from amodal_ros.model_folder.manifest import MANIFEST_NAME, load_manifest


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 1 for a file that is none of these."""
    parser = argparse.ArgumentParser(
        prog="python -m training.info", description="Print what a checkpoint or model folder is."
    )
    parser.add_argument("file", type=Path, help="a file, or a folder of ONNX files")
    path: Path = parser.parse_args(argv).file

    try:
        lines = describe_checkpoint(path)
    except AmodalError as error:
        print(error, file=sys.stderr)
        return 1
    width = max(len(name) for name in lines)
    for name, value in lines.items():
        print(f"{name:<{width}}  {value}")
    return 0


def describe_checkpoint(path: Path | str) -> dict[str, str]:
    """Describe a file or folder as names and values, most important first.

    Args:
        path: A ``.safetensors`` of ours, an official checkpoint, a folder with the ONNX files of
            a base model, or a model folder.

    Raises:
        CheckpointError: It is none of these, or cannot be read.
        ManifestError: It is a model folder that is incomplete or altered.
    """
    from amodal_ros.modeling.base_weights import read_base_weights

    path = Path(path)
    if path.suffix == ".safetensors":
        return _describe_ours(path)
    if (path / MANIFEST_NAME).is_file():
        return _describe_folder(path)
    identity = read_base_weights(path).identity
    return {
        "what": "weights of an unadapted base model",
        "member": identity.member,
        "name": identity.name,
        "tensors sha256": identity.state_sha256,
        **{f"sha256 of {name}": digest for name, digest in identity.files.items()},
    }


def _describe_ours(path: Path) -> dict[str, str]:
    from amodal_ros.modeling.checkpoint import read_header, read_tensors

    header = read_header(path)
    tensors = read_tensors(path)
    return {
        "what": "adapters of amodal_ros",
        "base": str(header.base),
        "config": json.dumps(header.config.to_dict()),
        "training": json.dumps(dict(header.training)) if header.training else "none",
        "weights": f"{sum(t.numel() for t in tensors.values())} in {len(tensors)} tensors",
        "sha256": file_sha256(path),
        **{f"sha256 of base {name}": digest for name, digest in header.base.files.items()},
    }


def _describe_folder(path: Path) -> dict[str, str]:
    manifest = load_manifest(path)
    sizes = {name: graph.file.bytes for name, graph in manifest.graphs.items()}
    return {
        "what": "model folder",
        "name": manifest.name,
        "family": manifest.family,
        "mode": f"{manifest.mode}, {manifest.geometry}, {manifest.image_size} px",
        "trained": "yes" if manifest.trained else "no",
        "precision": f"weights {manifest.weights_precision}, "
        f"computed in {manifest.compute_precision}",
        "graphs": ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items()),
        "source": json.dumps(dict(manifest.source)),
    }


if __name__ == "__main__":
    sys.exit(main())
