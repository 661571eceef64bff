# SPDX-License-Identifier: Apache-2.0
"""Loads the model that parameters name, and says in words what was loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.loading import EngineOptions
from amodal_ros.loading import load_predictor as load_model
from amodal_ros.model_folder.manifest import default_model_dir
from amodal_ros.ros.node.model_host import Predictor
from amodal_ros.ros.parameters.table import PerceptionParameters


def load_predictor(parameters: PerceptionParameters) -> Predictor:
    """Load and check the model that the parameters name.

    Raises:
        AmodalError: if the model folder or the engine cannot be used as asked.
    """
    options = EngineOptions(
        parameters.backend,
        providers=(parameters.execution_provider,),
        device=parameters.device,
        precision=parameters.precision,
        threads=parameters.threads,
        verify=parameters.verify,
    )
    return load_model(
        parameters.model_dir or None,
        options,
        second_look=parameters.second_look,
        ask_twice=parameters.ask_twice,
        fine_edges=parameters.fine_edges,
        model_memory=parameters.model_memory,
        small_looks=parameters.small_looks,
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


def model_facts(predictor: Predictor | None) -> Mapping[str, str]:
    """What a loaded model is and what runs it, for diagnostics; empty: none is loaded."""
    if predictor is None:
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
        **predictor.notes,
    }
