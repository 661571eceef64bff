# SPDX-License-Identifier: Apache-2.0
"""Loads the model that parameters name, and says in words what was loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from amodal_ros.backends.onnxruntime.backend import CPU_PROVIDER
from amodal_ros.backends.tensorrt.library import FLAVORS
from amodal_ros.errors import AmodalError, BackendError, InvalidInputError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import default_model_dir
from amodal_ros.ros.node.frame_pipeline import Predictor
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.watch.diagnostics import NOT_VERIFIED
from amodal_ros.verify import MAX_IOU_ERROR, MIN_MASK_IOU, compare, load_reference


def load_predictor(parameters: PerceptionParameters) -> Predictor:
    """Load and check the model that the parameters name.

    Raises:
        AmodalError: if the model folder or the engine cannot be used as asked.
    """
    predictor = AmodalPredictor.from_model_dir(
        parameters.model_dir or default_model_dir(),
        backend=parameters.backend,
        providers=(parameters.execution_provider,),
        intra_op_threads=parameters.threads,
    )
    if parameters.verify:
        try:
            _verify(predictor)
        except AmodalError:
            predictor.close()
            raise
    return predictor


def _verify(predictor: AmodalPredictor) -> None:
    comparison = compare(predictor, load_reference(predictor.manifest.reference_path))
    if not comparison.passes(MIN_MASK_IOU, MAX_IOU_ERROR):
        raise BackendError(
            f"{predictor.backend.name} differs too much from the reference of "
            f"{predictor.manifest.name}: {comparison}"
        )


def check_model_folder(parameters: PerceptionParameters) -> None:
    """Refuse at a glance what cannot be a model folder; loading it checks the rest.

    Raises:
        InvalidInputError: if there is no ``manifest.json``.
    """
    folder = Path(parameters.model_dir or default_model_dir())
    if not (folder / "manifest.json").is_file():
        raise InvalidInputError(
            f"parameter model_dir is {parameters.model_dir!r}, expected a folder with "
            "manifest.json"
        )


def model_facts(
    predictor: Predictor | None, parameters: PerceptionParameters | None
) -> Mapping[str, str]:
    """What a loaded model is and what runs it, for diagnostics; empty: none is loaded.

    Args:
        predictor: the model.
        parameters: what it was loaded for.
    """
    if predictor is None or parameters is None:
        return {}
    if not isinstance(predictor, AmodalPredictor):
        return {"model": type(predictor).__name__}
    manifest = predictor.manifest
    return {
        "model": manifest.name,
        "model_dir": str(manifest.directory),
        "family": manifest.family,
        "trained": "yes" if manifest.trained else "no",
        "backend": predictor.backend.name,
        "weights_precision": manifest.weights_precision,
        "compute_precision": manifest.compute_precision,
        "precision_verified": _verified(predictor, parameters),
    }


def _verified(predictor: AmodalPredictor, parameters: PerceptionParameters) -> str:
    """What the masks were compared with; ``NOT_VERIFIED``: nothing."""
    if parameters.verify or parameters.backend in FLAVORS:
        return "yes"  # or they would have been refused
    on_cpu = parameters.execution_provider == CPU_PROVIDER
    if on_cpu and predictor.manifest.compute_precision == "fp32":
        return "yes: fp32 on the CPU is what others are compared with"
    return NOT_VERIFIED
