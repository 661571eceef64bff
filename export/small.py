# SPDX-License-Identifier: Apache-2.0
"""A second, smaller size of a model in the folder of the first; see `model_folder/small.py`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from amodal_ros.errors import BackendError
from amodal_ros.model_folder.manifest import ModelManifest, load_manifest
from amodal_ros.model_folder.small import SMALL_NAME, check_small
from amodal_ros.modeling.torch_backend import TorchBackend, feature_layout
from amodal_ros.verification.measures import mask_ious
from amodal_ros.verification.reference import Reference, load_reference
from export.folder import graph_entry, write_manifest
from export.gate import check_parity
from export.graphs.files import save_graph
from export.graphs.model_graphs import export_components
from export.graphs.onnx_graph import Component
from export.graphs.sharing import share_weights, weights_of
from export.options import ExportOptions
from export.source import SourceModel

logger = logging.getLogger(__name__)

MAX_TRUTH_LOST = 0.05  # mean IoU with the truth that the smaller size may lose on the reference


def add_small(folder: Path, source: SourceModel, options: ExportOptions) -> None:
    """Adds the graphs of a smaller size to a folder, and verifies them.

    They are compared with torch at that size as those of the full size are at theirs, and their
    masks with the truth: a size at which the model fails is refused.

    Raises:
        ManifestError: The two are not one model at two sizes.
        BackendError: The graphs do not agree with torch, or their masks are not true.
    """
    full = load_manifest(folder)
    components = export_components(source.model, mode=options.mode, precision=options.precision)
    graphs = write_small_graphs(folder, components, source.model.config.image_size)
    backend = TorchBackend(source.model, feature_layout(source.model))
    # Of the name of the full size, even if that has been given by hand.
    options = replace(options, name=full.name)
    manifest = write_manifest(
        *(folder, graphs, source, options, backend),
        name=SMALL_NAME,
        reference_file=f"reference_{source.model.config.image_size}.npz",
    )
    check_small(manifest, full)
    report = check_parity(manifest, source, options, backend)
    lost = truth_lost(full, manifest)
    logger.info("%d px:\n%s", manifest.image_size, report)
    if lost is not None:
        logger.info("truth lost against %d px: %+.4f", full.image_size, lost)
        if not lost <= MAX_TRUTH_LOST:
            raise BackendError(
                f"{manifest.image_size} px: mean IoU with the truth: expected at most"
                f" {MAX_TRUTH_LOST} less than with {full.image_size} px, got {lost:.4f} less"
            )


def write_small_graphs(
    folder: Path, components: Sequence[Component], size: int
) -> dict[str, dict[str, Any]]:
    """Write each graph as ``NAME_SIZE.onnx``, without what the full size's file holds.

    Returns:
        The graphs as a manifest describes them.
    """
    entries = {}
    for component in components:
        full = folder / f"{component.name}.onnx"
        path = folder / f"{component.name}_{size}.onnx"
        save_graph(share_weights(component.model, full), path)
        entries[component.name] = graph_entry(path, component, weights_of(full))
    return entries


def truth_lost(full: ModelManifest, small: ModelManifest) -> float | None:
    """Mean IoU with the truth that the smaller size has less; None: no truth is known."""
    means = [_truth(load_reference(one.reference_path)) for one in (full, small)]
    if means[0] is None or means[1] is None:
        return None
    return means[0] - means[1]


def _truth(reference: Reference) -> float | None:
    """Mean IoU of a reference's masks with the truth; None: it is not known."""
    found = [
        mask_ious(masks, truth)
        for frame in reference
        for masks, truth in (
            (frame.amodal_masks, frame.true_amodal),
            (frame.visible_masks, frame.true_visible),
        )
        if truth is not None
    ]
    return float(np.concatenate(found).mean()) if found else None
