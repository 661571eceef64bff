# SPDX-License-Identifier: Apache-2.0
"""TensorRT engines that were built elsewhere pass the gate before they are used."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.backends.tensorrt.backend import TensorRtBackend
from amodal_ros.errors import BackendError
from amodal_ros.model_folder.manifest import ModelManifest
from amodal_ros.model_folder.memory import MemoryManifest, with_memory
from amodal_ros.verification.gate import run_gate
from amodal_ros.verification.measures import Limits
from amodal_ros.verification.reference import load_reference
from amodal_ros.verification.report import GateReport, Scene

logger = logging.getLogger(__name__)


def ensure_verified(manifest: ModelManifest, backend: TensorRtBackend) -> None:
    """Runs the gate unless these engines passed it on such a machine, and notes the outcome.

    Raises:
        BackendError: when the masks differ too much from fp32's.
        ManifestError: when the reference cannot be read.
    """
    if backend.engines.verified_on(backend.machine, manifest.graphs):
        return
    logger.info("%s: first load on this machine; comparing its masks with fp32", backend.name)
    report = verify_engines(manifest, backend)
    if report.failures():
        raise BackendError(f"{backend.engines.directory} fails the precision gate:\n{report}")
    logger.info("%s", report)


def verify_engines(
    manifest: ModelManifest,
    backend: TensorRtBackend,
    scenes: Sequence[Scene] = (),
    limits: Limits | None = None,
    memory: MemoryManifest | None = None,
) -> GateReport:
    """Runs the gate against ONNX Runtime on the CPU; a pass is written to the engine set.

    Args:
        manifest: of the model folder.
        backend: with the engines.
        scenes: to compare on, beside the reference.
        limits: what passes.
        memory: of a SAM 2 whose video path the backend has loaded as well.

    Raises:
        BackendError: when an engine fails.
        ManifestError: when the reference cannot be read.
    """
    reference = load_reference(manifest.reference_path)
    whole = with_memory(manifest, memory)
    fp32 = OnnxRuntimeBackend(whole)
    try:
        report = run_gate(
            manifest,
            backend,
            fp32,
            [Scene.of_reference(reference), *scenes],
            reference=reference,
            limits=limits,
            memory=memory,
            max_batch=backend.max_batch,
        )
    finally:
        fp32.close()
    if not report.failures():
        engines = backend.engines.with_verification(
            backend.machine, report.to_json(), whole.graphs
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
