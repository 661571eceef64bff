# SPDX-License-Identifier: Apache-2.0
"""Engine sets of the fake model, and the TensorRT backend on a fake GPU."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from amodal_ros.backends.tensorrt.backend import TensorRtBackend
from amodal_ros.backends.tensorrt.engine_cache import UNVERIFIED, EngineKey, EngineSet, Machine
from amodal_ros.backends.tensorrt.library import TensorRtLibrary
from amodal_ros.model_folder.manifest import FileSpec, ModelManifest
from tests.backends.fake_gpu import FakeCuda, FakeTrt

MACHINE = Machine("tensorrt", "10.8.0", "Test GPU", "8.9")


def engine_key(manifest: ModelManifest, **changes: Any) -> EngineKey:
    key = EngineKey(
        flavor="tensorrt",
        library_version="10.8.0",
        gpu_name="Test GPU",
        compute_capability="8.9",
        onnx_sha256={name: spec.file.sha256 for name, spec in manifest.graphs.items()},
        precision="fp16",
        max_batch=4,
        max_points=3,
        workspace_mib=0,
        rules_version=1,
    )
    return replace(key, **changes)


def write_engines(folder: Path, key: EngineKey) -> EngineSet:
    """An engine set whose engines are their graphs' names."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for graph in key.onnx_sha256:
        data = graph.encode()
        (folder / f"{graph}.engine").write_bytes(data)
        files[graph] = FileSpec(f"{graph}.engine", hashlib.sha256(data).hexdigest(), len(data))
    unverified = {"status": UNVERIFIED, "machine": None, "report": {}}
    engines = EngineSet(folder, key, files, unverified, {})
    engines.save()
    return engines


class Rig:
    """A backend and what lies under it."""

    def __init__(self, manifest: ModelManifest, folder: Path, flavor: str = "tensorrt") -> None:
        self.manifest = manifest
        self.cuda = FakeCuda()
        self.trt = FakeTrt(self.cuda, manifest)
        self.machine = replace(MACHINE, flavor=flavor)
        self.library = TensorRtLibrary(flavor, self.trt, "10.8.0")
        self.engines = write_engines(folder, engine_key(manifest, flavor=flavor))
        self.backend = self.open()

    def open(self) -> TensorRtBackend:
        return TensorRtBackend(self.manifest, self.engines, self.library, self.cuda, self.machine)
