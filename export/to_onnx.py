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

from amodal_ros.files import work_folder
from export.options import ExportOptions, check_options, check_replaceable, parse_options

if TYPE_CHECKING:
    from export.gate import ParityReport
    from export.graphs.onnx_graph import Component
    from export.source import SourceModel

logger = logging.getLogger(__name__)


def export_model(options: ExportOptions) -> ParityReport:
    """Export a model; the folder appears complete and verified, or not at all.

    Raises:
        CheckpointError: Weights are unreadable or do not fit each other.
        InvalidInputError: The model cannot be exported, or ``out`` is no model folder.
        BackendError: The graphs do not agree with torch.
    """
    check_options(options)
    with work_folder(options.out.parent, ".export-"):  # torch takes seconds: after what is wrong
        from export.source import read_source

        small = None
        if options.small_size is not None:
            small = read_source(replace(options, image_size=options.small_size))
        return export_source(read_source(options), options, small)


def export_source(
    source: SourceModel, options: ExportOptions, small: SourceModel | None = None
) -> ParityReport:
    """Export a model that is in memory; see :func:`export_model`.

    Args:
        source: The model.
        options: How.
        small: The same model at a smaller size, which goes into the same folder; None: one size.
    """
    from export.folder import publish
    from export.graphs.model_graphs import export_components, export_video

    check_replaceable(options.out)
    how = {"mode": options.mode, "precision": options.precision}
    with work_folder(options.out.parent, ".export-") as work:
        logger.info("exporting the graphs of %s", source.model.config.base)
        folder = work / "folder"
        folder.mkdir()
        report = fill_folder(
            folder,
            source,
            export_components(source.model, **how),
            options,
            export_video(source.model, **how),
        )
        if small is not None:
            from export.small import add_small

            logger.info("and the same at %d px", small.model.config.image_size)
            add_small(folder, small, options)
        publish(folder, options.out)
    return report


def fill_folder(
    folder: Path,
    source: SourceModel,
    components: Sequence[Component],
    options: ExportOptions,
    video: Sequence[Component] = (),
) -> ParityReport:
    """Write a model folder and verify it.

    Raises:
        BackendError: The graphs do not agree with torch.
    """
    from amodal_ros.modeling.torch_backend import TorchBackend, feature_layout
    from export.folder import write_graphs, write_manifest, write_memory
    from export.gate import check_parity

    backend = TorchBackend(source.model, feature_layout(source.model))
    graphs = write_graphs(folder, components)
    if video:
        write_memory(folder, write_graphs(folder, video), source.model.base)
    del components, video  # the files have them; of ViT-H a copy more would be gigabytes
    manifest = write_manifest(folder, graphs, source, options, backend)
    return check_parity(manifest, source, options, backend)


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
