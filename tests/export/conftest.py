# SPDX-License-Identifier: Apache-2.0
"""One small export, with adapters that matter, for all tests of the export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
from amodal_ros.modeling.base_weights import BaseWeights, read_base_weights
from amodal_ros.modeling.checkpoint import save_checkpoint
from amodal_ros.modeling.config import AmodalConfig
from export.fetch_base_weights import fetch_base_weights
from export.graphs.model_graphs import export_components
from export.graphs.onnx_graph import Component
from export.options import ExportOptions
from export.source import SourceModel, read_source
from tests.export.exported import remove_exported

SIZE = 128


@dataclass(frozen=True, eq=False)
class SmallExport:
    """Amodal MobileSAM of 128 pixels on the real base weights, and its graphs."""

    options: ExportOptions
    source: SourceModel
    components: list[Component]


@pytest.fixture(scope="session")
def base_weights() -> BaseWeights:
    return read_base_weights(fetch_base_weights())


@pytest.fixture(scope="session")
def small_export(base_weights, tmp_path_factory) -> SmallExport:
    torch.manual_seed(0)
    config = AmodalConfig(base="mobile_sam", image_size=SIZE)
    model = AmodalMobileSam.from_state(config, base_weights.state)
    with torch.no_grad():
        for adapter in model.adapters.values():
            adapter.expand.weight.normal_(std=0.02)
            adapter.expand.bias.normal_(std=0.02)
    folder: Path = tmp_path_factory.mktemp("export")
    checkpoint = folder / "adapters.safetensors"
    save_checkpoint(checkpoint, model, base_weights.identity, training={"steps": 1})
    options = ExportOptions(
        base=fetch_base_weights(), checkpoint=checkpoint, out=folder / "model", name="small"
    )
    source = read_source(options)
    components = export_components(source.model, mode="full", precision="fp32")
    return SmallExport(options, source, components)


@pytest.fixture(scope="session", autouse=True)
def _no_leftovers():
    yield
    remove_exported()
