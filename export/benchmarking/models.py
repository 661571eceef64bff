# SPDX-License-Identifier: Apache-2.0
"""The model folders that are compared: those given, and the mode that none has; what they cost."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amodal_ros.errors import AmodalError
from amodal_ros.model_folder.manifest import MODES, ModelManifest, load_manifest

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
_SIZES = {"full": 1024, "roi": 384}


class ExportFailedError(AmodalError):
    """A model folder that the comparison needs could not be made."""


@dataclass(frozen=True)
class Model:
    """A model folder."""

    folder: Path
    manifest: ModelManifest
    exported: bool = False

    def description(self) -> dict[str, Any]:
        """What the JSON file says of it."""
        manifest = self.manifest
        return {
            "name": manifest.name,
            "mode": manifest.mode,
            "image_size": manifest.image_size,
            "roi_factor": manifest.roi_factor,
            "weights_precision": manifest.weights_precision,
            "compute_precision": manifest.compute_precision,
            "trained": manifest.trained,
            "exported_for_this_run": self.exported,
            "sha256": {name: graph.file.sha256 for name, graph in manifest.graphs.items()},
        }


def open_models(folders: Sequence[Path], base: Path, scratch: Path) -> list[Model]:
    """Reads the folders given and exports the modes that are missing among them.

    Args:
        folders: the first is the model in question.
        base: base weights, for an export.
        scratch: folder for exports.

    Raises:
        ManifestError: for an unusable folder.
        ExportFailedError: when an export fails.
    """
    models = [Model(folder, load_manifest(folder)) for folder in folders]
    for mode in MODES:
        if all(model.manifest.mode != mode for model in models):
            logger.info("no folder of mode %s given: exporting one (about a minute)", mode)
            folder = export_mode(models[0].folder, mode, base, scratch / mode)
            models.append(Model(folder, load_manifest(folder), exported=True))
    return models


def export_mode(like: Path, mode: str, base: Path, out: Path) -> Path:
    """Exports the architecture of a model in another mode, in a process of its own (torch).

    Raises:
        ExportFailedError: with the last line that the export said.
    """
    command = [sys.executable, "export/to_onnx.py", "--base", str(base), "--out", str(out)]
    command += ["--mode", mode, "--size", str(_SIZES[mode]), "--like", str(like.resolve())]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise ExportFailedError(
            f"mode {mode} could not be exported ({said[-1] if said else 'it said nothing'});"
            " give --models a folder of it"
        )
    return out
