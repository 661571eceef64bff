# SPDX-License-Identifier: Apache-2.0
"""Engines that do not compute in fp32 on this CPU pass the gate before they are used.

A pass is noted, with all that it depends on, so that later starts need not repeat it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amodal_ros.backends.base import Backend
from amodal_ros.backends.tensorrt.backend import TensorRtBackend
from amodal_ros.errors import RefusedEngineError
from amodal_ros.model_folder.manifest import ModelManifest
from amodal_ros.model_folder.memory import MemoryManifest, with_memory
from amodal_ros.verification.gate import gate_on_cpu, run_gate
from amodal_ros.verification.measures import GateReport, Limits
from amodal_ros.verification.reference import Scene, load_reference

logger = logging.getLogger(__name__)

RULES_VERSION = 2  # of what the gate asks: a pass of other rules does not count


@dataclass(frozen=True)
class PassNote:
    """A file that says that an engine passed."""

    folder: Path
    key: Mapping[str, Any]

    def _path(self, manifest: ModelManifest) -> Path:
        graphs = {name: spec.file.sha256 for name, spec in manifest.graphs.items()}
        whole = [RULES_VERSION, dict(self.key), graphs, manifest.reference.sha256]
        digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{digest[:24]}.passed.json"

    def stands(self, manifest: ModelManifest) -> bool:
        """Whether the pass was noted."""
        return self._path(manifest).is_file()

    def write(self, manifest: ModelManifest, report: GateReport) -> None:
        """Notes a pass; where that cannot be, the gate will run at each start."""
        path = self._path(manifest)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        content = {"key": dict(self.key), "report": report.to_json()}
        try:
            draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            logger.warning("%s: %s: the gate will run at each start", path, error)


def ensure_true(
    manifest: ModelManifest,
    backend: Backend,
    max_batch: int,
    note: PassNote | None = None,
    memory: MemoryManifest | None = None,
) -> bool:
    """Compares an engine's masks with the model folder's reference, unless a pass was noted.

    Args:
        manifest: of the model folder.
        backend: the engine.
        max_batch: rows in one call.
        note: of a pass; None: compared at each load.
        memory: of a SAM 2 whose video path the backend has loaded as well: it is compared with
            ONNX Runtime's on the CPU.

    Returns:
        Whether they were compared.

    Raises:
        RefusedEngineError: when they differ too much.
        BackendError: when the engine fails.
        ManifestError: when the reference cannot be read.
    """
    whole = with_memory(manifest, memory)
    if note is not None and note.stands(whole):
        return False
    logger.info("%s: first load on this machine; comparing its masks with fp32", backend.name)
    if memory is None:
        reference = load_reference(manifest.reference_path)
        report = run_gate(manifest, backend, None, [], reference=reference, max_batch=max_batch)
    else:
        report = gate_on_cpu(manifest, backend, memory=memory, max_batch=max_batch)
    if report.failures():
        raise RefusedEngineError(f"{backend.name} fails the precision gate:\n{report}")
    logger.info("%s", report)
    if note is not None:
        note.write(whole, report)
    return True


def ensure_engines_true(
    manifest: ModelManifest, backend: TensorRtBackend, memory: MemoryManifest | None = None
) -> None:
    """Runs the gate unless these engines passed it on such a machine, and notes the outcome.

    Raises:
        RefusedEngineError: when the masks differ too much from fp32's.
        BackendError: when an engine fails.
        ManifestError: when the reference cannot be read.
    """
    if backend.engines.verified_on(backend.machine, with_memory(manifest, memory).graphs):
        return
    logger.info("%s: first load on this machine; comparing its masks with fp32", backend.name)
    report = verify_engines(manifest, backend, memory=memory)
    if report.failures():
        raise RefusedEngineError(
            f"{backend.engines.directory} fails the precision gate:\n{report}"
        )
    logger.info("%s", report)


def verify_engines(
    manifest: ModelManifest,
    backend: TensorRtBackend,
    scenes: Sequence[Scene] = (),
    limits: Limits | None = None,
    memory: MemoryManifest | None = None,
) -> GateReport:
    """Runs the gate against ONNX Runtime on the CPU; a pass is written to the engine set.

    Raises:
        BackendError: when an engine fails.
        ManifestError: when the reference cannot be read.
    """
    report = gate_on_cpu(
        *(manifest, backend, scenes), limits=limits, memory=memory, max_batch=backend.max_batch
    )
    if not report.failures():
        engines = backend.engines.with_verification(
            *(backend.machine, report.to_json(), with_memory(manifest, memory).graphs)
        )
        try:
            engines.save()
        except OSError as error:
            logger.warning(
                "%s cannot be written (%s): the gate will run at each start",
                engines.directory,
                error,
            )
    return report
