#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Export an amodal model to a model folder: its ONNX graphs, their manifest, a reference.

Without arguments: MobileSAM with untrained adapters, which is the base model. Nothing is written
unless the graphs, run in ONNX Runtime, agree with the torch model.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.folder.options import ExportOptions, check_options, parse_options

if TYPE_CHECKING:
    from export.folder.parity import ParityReport
    from export.folder.source_model import SourceModel
    from export.graphs.onnx_graph import Component

logger = logging.getLogger(__name__)


def export_model(options: ExportOptions) -> ParityReport:
    """Export a model; the folder appears complete and verified, or not at all.

    Raises:
        CheckpointError: Weights are unreadable or do not fit each other.
        InvalidInputError: The model cannot be exported, or ``out`` is no model folder.
        BackendError: The graphs do not agree with torch.
    """
    from export.folder.output_folder import check_replaceable, work_folder

    check_options(options)
    check_replaceable(options.out)
    with work_folder(options.out.parent, ".export-") as work:
        from export.folder.source_model import (
            read_source,  # torch takes seconds: after what may be wrong
        )

        return _export(read_source(options), options, work)


def export_source(source: SourceModel, options: ExportOptions) -> ParityReport:
    """Export a model that is in memory; see :func:`export_model`."""
    from export.folder.output_folder import check_replaceable, work_folder

    check_replaceable(options.out)
    with work_folder(options.out.parent, ".export-") as work:
        return _export(source, options, work)


def _export(source: SourceModel, options: ExportOptions, work: Path) -> ParityReport:
    """Export into a folder within ``work``, and put it in its place."""
    from export.folder.model_folder import publish
    from export.graphs.exporting import export_components, export_video

    logger.info("exporting the graphs of %s", source.model.config.base)
    folder = work / "folder"
    folder.mkdir()
    report = fill_folder(
        folder,
        source,
        export_components(source.model, mode=options.mode, precision=options.precision),
        options,
        export_video(source.model, mode=options.mode, precision=options.precision),
    )
    publish(folder, options.out)
    return report


def fill_folder(
    folder: Path,
    source: SourceModel,
    components: Sequence[Component],
    options: ExportOptions,
    memory: Sequence[Component] = (),
) -> ParityReport:
    """Write a model folder and verify it.

    Args:
        folder: Empty.
        source: The model.
        components: ``prefix``, ``suffix`` and ``decoder``.
        options: What they were exported with.
        memory: Graphs of the video path.

    Raises:
        BackendError: The graphs do not agree with torch.
    """
    import onnx

    from amodal_ros.errors import BackendError
    from amodal_ros.model_folder.manifest import load_manifest, parse_manifest
    from amodal_ros.model_folder.memory import load_memory
    from amodal_ros.modeling.packing import feature_layout
    from amodal_ros.modeling.torch_backend import TorchBackend
    from amodal_ros.verification.reference import save_reference
    from export.folder.graph_files import check_data
    from export.folder.memory_parity import measure_memory
    from export.folder.model_folder import (
        REFERENCE_FILE,
        FolderContent,
        manifest_content,
        write_graphs,
        write_manifest,
    )
    from export.folder.parity import TOLERANCES, measure_parity
    from export.folder.reference import make_reference
    from export.graphs.memory_folder import write_memory

    content = FolderContent.of(source, options)
    torch_backend = TorchBackend(source.model, feature_layout(source.model))
    write_graphs(folder, [*components, *memory])
    if memory:
        write_memory(folder, memory, source.model.base)
    # The files have the weights now. Of ViT-H a copy more would be gigabytes.
    components = [replace(component, model=onnx.ModelProto()) for component in components]
    memory = ()
    (folder / REFERENCE_FILE).write_bytes(b"\0")  # the manifest is needed to compute it
    draft = parse_manifest(manifest_content(folder, components, content), folder)
    reference = make_reference(draft, torch_backend)
    save_reference(folder / REFERENCE_FILE, reference)
    write_manifest(folder, manifest_content(folder, components, content))
    manifest = load_manifest(folder)
    for graph in folder.glob("*.onnx"):
        check_data(graph)
    report = measure_parity(
        manifest,
        torch_backend,
        reference,
        seed=options.seed,
        random_weights=source.random_base,
    )
    video = load_memory(folder)
    if video is not None:
        differences = measure_memory(manifest, video, source.model.base, seed=options.seed)
        report = replace(report, graphs=(*report.graphs, *differences))
    failures = report.failures(
        TOLERANCES[options.precision], options.min_mask_iou, options.max_iou_error
    )
    if failures:
        raise BackendError("the graphs do not agree with torch: " + "; ".join(failures))
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    options = parse_options(argv, __doc__)
    from amodal_ros.errors import AmodalError
    from export.fetch_base_weights import DEFAULT_FOLDER, FetchError, fetch_base_weights

    logging.basicConfig(format="%(message)s")  # the exporters' own loggers are chatty
    warnings.simplefilter("ignore")  # and so are the packages that they import
    for name in ("amodal_ros", "export", __name__):
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        if options.base == DEFAULT_FOLDER:
            fetch_base_weights()
        report = export_model(options)
    except (AmodalError, FetchError) as error:
        logger.error("%s", error)
        return 1
    except ImportError as error:
        logger.error(
            '%s; the export needs: pip install -e ".[torch]" -r requirements/export.txt', error
        )
        return 1
    size = sum(path.stat().st_size for path in options.out.iterdir()) / 1e6
    logger.info("%s\n%s: %.1f MB, verified", report, options.out, size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
