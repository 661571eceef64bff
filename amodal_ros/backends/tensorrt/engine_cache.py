# SPDX-License-Identifier: Apache-2.0
"""Engines on disk: for which model, GPU, library and options they were built, and if verified.

An engine set is a folder with one engine per graph and `engines.json`. Sets lie side by side in
`engines` of the model folder, or in a folder of one's choice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from amodal_ros.errors import BackendError, ManifestError
from amodal_ros.files import write_text
from amodal_ros.model_folder.fields import FieldReader
from amodal_ros.model_folder.manifest import FileSpec, ModelManifest, check_digest

SCHEMA_VERSION = 1
SET_NAME = "engines.json"
CACHE_NAME = "engines"
UNVERIFIED = "not verified on this machine"
VERIFIED = "verified"


@dataclass(frozen=True)
class EngineKey:
    """What an engine set is tied to; with another value of any of these it is stale.

    Attributes:
        flavor: `tensorrt` or `tensorrt_rtx`.
        library_version: of TensorRT.
        gpu_name: as CUDA gives it; empty: any GPU of that compute capability.
        compute_capability: as `8.9`.
        onnx_sha256: of each graph's ONNX file.
        precision: `fp16`, `bf16` or `fp32`.
        max_batch: rows in one call at most.
        max_points: points of one object at most.
        workspace_mib: limit of TensorRT's scratch memory; 0: none.
        rules_version: of the rules that place 16-bit arithmetic.
    """

    flavor: str
    library_version: str
    gpu_name: str
    compute_capability: str
    onnx_sha256: Mapping[str, str]
    precision: str
    max_batch: int
    max_points: int
    workspace_mib: int
    rules_version: int

    def folder_name(self) -> str:
        """Name of the set's folder: readable, and different for different keys."""
        text = json.dumps(asdict(self), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        target = "sm" + self.compute_capability.replace(".", "")
        return f"{self.flavor}-{target}-{self.precision}-{digest}"


@dataclass(frozen=True)
class Machine:
    """What an engine runs on."""

    flavor: str
    library_version: str
    gpu_name: str
    compute_capability: str


@dataclass(frozen=True, eq=False)
class EngineSet:
    """The content of `engines.json`.

    Attributes:
        directory: its folder.
        key: what it is tied to.
        files: of each graph.
        verification: `status`: `verified` or `not verified on this machine`; `machine`: where it
            was; `graphs`: which ran; `report`: what was found.
        build: how it was built; free form, for people.
    """

    directory: Path
    key: EngineKey
    files: Mapping[str, FileSpec]
    verification: Mapping[str, Any]
    build: Mapping[str, Any]

    def verified_on(self, machine: Machine, graphs: Iterable[str]) -> bool:
        """Whether these graphs passed the precision gate on such a machine.

        A set with SAM 2's video path has graphs that a node does not load.
        """
        found = self.verification
        ran = found.get("graphs")
        return (
            found.get("status") == VERIFIED
            and found.get("machine") == asdict(machine)
            and isinstance(ran, list)  # sets written before it was noted are verified anew
            and all(graph in ran for graph in graphs)
        )

    def with_verification(
        self, machine: Machine | None, report: Mapping[str, Any], graphs: Iterable[str] = ()
    ) -> EngineSet:
        """The same set with the outcome of a gate in which `graphs` ran; no machine: none did."""
        status = UNVERIFIED if machine is None else VERIFIED
        where = None if machine is None else asdict(machine)
        verification = {
            "status": status,
            "machine": where,
            "graphs": sorted(graphs),
            "report": dict(report),
        }
        return replace(self, verification=verification)

    def read(self, graph: str) -> bytes:
        """An engine's bytes, checked.

        Raises:
            ManifestError: when the file is missing or altered.
        """
        path, spec = self.directory / self.files[graph].file, self.files[graph]
        check_digest(path, spec.sha256)
        return path.read_bytes()

    def save(self) -> None:
        """Writes `engines.json` in one step.

        Raises:
            OSError: when the folder cannot be written.
        """
        content = {
            "schema_version": SCHEMA_VERSION,
            "key": asdict(self.key),
            "files": {graph: asdict(spec) for graph, spec in self.files.items()},
            "verification": dict(self.verification),
            "build": dict(self.build),
        }
        write_text(self.directory / SET_NAME, json.dumps(content, indent=2) + "\n")


def load_engine_set(directory: Path) -> EngineSet:
    """Reads an engine set's description; the engines themselves are read by `EngineSet.read`.

    Raises:
        ManifestError: when it is missing or wrong, naming the field.
    """
    path = directory / SET_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path}: expected JSON, got: {error}") from error
    fields = FieldReader(content, str(path))
    version = fields.integer("schema_version", minimum=1)
    if version != SCHEMA_VERSION:
        raise ManifestError(f"{path}: schema_version: expected {SCHEMA_VERSION}, got {version}")
    key = _read_key(fields.section("key"))
    files = fields.section("files")
    specs = {graph: _read_file(files.section(graph)) for graph in key.onnx_sha256}
    files.end()
    engines = EngineSet(
        directory, key, specs, fields.mapping("verification"), fields.mapping("build")
    )
    fields.end()
    return engines


def default_cache_dir(manifest: ModelManifest) -> Path:
    """Where a model's engine sets lie unless one says otherwise."""
    return manifest.directory / CACHE_NAME


def find_engine_set(
    cache_dir: Path, manifest: ModelManifest, machine: Machine, max_batch: int
) -> EngineSet:
    """The one engine set that fits the model and the machine.

    Args:
        cache_dir: folder of engine sets, or one engine set.
        manifest: of the model.
        machine: where it is to run.
        max_batch: rows that it must take.

    Raises:
        BackendError: when none fits, with the reason for each there is, or more than one does of
            the newest precision rules.
        ManifestError: for a set that cannot be read.
    """
    if (cache_dir / SET_NAME).is_file():
        folders = [cache_dir]
    else:
        folders = sorted(path.parent for path in cache_dir.glob(f"*/{SET_NAME}"))
    sets = [load_engine_set(folder) for folder in folders]
    reasons = {s.directory: why_stale(s.key, manifest, machine, max_batch) for s in sets}
    fitting = [s for s in sets if not reasons[s.directory]]
    newest = max((s.key.rules_version for s in fitting), default=0)
    fitting = [s for s in fitting if s.key.rules_version == newest]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(s.directory.name for s in fitting)
        raise BackendError(
            f"{cache_dir}: several engine sets fit ({names}); name the folder of one of them"
        )
    found = "; ".join(f"{path.name}: {', '.join(why)}" for path, why in reasons.items())
    raise BackendError(
        f"{cache_dir}: no engine set for {manifest.name} on {machine.gpu_name} with"
        f" {machine.flavor} {machine.library_version} ({found or 'there is none at all'});"
        f" build it there with: python export/to_trt.py --model {manifest.directory}"
        f" --flavor {machine.flavor}"
    )


def why_stale(
    key: EngineKey, manifest: ModelManifest, machine: Machine, max_batch: int
) -> list[str]:
    """Why an engine set does not fit, as `TensorRT 10.3.0, here 10.8.0`; empty: it does."""
    reasons = []
    for what, built, here in (
        ("flavor", key.flavor, machine.flavor),
        ("library version", key.library_version, machine.library_version),
        ("GPU", key.gpu_name or machine.gpu_name, machine.gpu_name),
        ("compute capability", key.compute_capability, machine.compute_capability),
    ):
        if built != here:
            reasons.append(f"built for {what} {built}, here {here}")
    sha256 = {graph: spec.file.sha256 for graph, spec in manifest.graphs.items()}
    changed = sorted(
        graph for graph, value in sha256.items() if key.onnx_sha256.get(graph) != value
    )
    if changed:
        reasons.append(f"built from another {', '.join(changed)}")
    if key.max_batch < max_batch:
        reasons.append(f"built for at most {key.max_batch} rows, asked for {max_batch}")
    return reasons


def _read_key(fields: FieldReader) -> EngineKey:
    sha256 = fields.section("onnx_sha256")
    graphs = sha256.names()
    key = EngineKey(
        flavor=fields.text("flavor"),
        library_version=fields.text("library_version"),
        gpu_name=fields.text("gpu_name", empty=True),
        compute_capability=fields.text("compute_capability"),
        onnx_sha256={name: sha256.sha256(name) for name in graphs},
        precision=fields.text("precision"),
        max_batch=fields.integer("max_batch", minimum=1),
        max_points=fields.integer("max_points", minimum=1),
        workspace_mib=fields.integer("workspace_mib", minimum=0),
        rules_version=fields.integer("rules_version", minimum=1),
    )
    fields.end()
    return key


def _read_file(fields: FieldReader) -> FileSpec:
    spec = FileSpec(
        fields.text("file"), fields.sha256("sha256"), fields.integer("bytes", minimum=1)
    )
    fields.end()
    return spec
