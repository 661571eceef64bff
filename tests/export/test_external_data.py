# SPDX-License-Identifier: Apache-2.0
"""A model whose weights lie beside its graphs, from its files to the engines; limit lowered."""

from __future__ import annotations

import json
import shutil
from functools import partial

import onnx
import pytest

from amodal_ros import verify
from amodal_ros.errors import ManifestError
from amodal_ros.model_folder.manifest import default_model_dir, load_manifest
from export import folder as model_folder
from export.graphs.files import save_graph
from export.graphs.onnx_graph import Component, Tensor
from export.trt.build_set import build_engine_set
from export.trt.options import EngineOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The model that ships, its graphs written as the export writes large ones."""
    out = tmp_path_factory.mktemp("external")
    old = load_manifest(default_model_dir())
    components = [
        Component(
            name,
            onnx.load(str(old.path_of(name))),
            tuple(Tensor(t.name, t.shape) for t in spec.inputs),
            tuple(Tensor(t.name, t.shape) for t in spec.outputs),
        )
        for name, spec in old.graphs.items()
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_folder, "save_graph", partial(save_graph, max_inline=100_000))
        graphs = model_folder.write_graphs(out, components)
    shutil.copy2(old.reference_path, out)
    content = json.loads((old.directory / "manifest.json").read_text())
    content["graphs"] = graphs
    (out / "manifest.json").write_text(json.dumps(content))
    return out


def test_every_graph_and_its_weights_are_in_the_manifest(folder):
    graphs = load_manifest(folder).graphs
    files = sorted(file.file for spec in graphs.values() for file in spec.files)
    assert files == sorted(p.name for p in folder.iterdir() if p.suffix in (".onnx", ".data"))
    assert all(spec.data is not None for spec in graphs.values())
    assert verify.main([str(folder)]) == 0


def test_altered_weights_are_refused_at_load(folder, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    path = copy / "suffix.onnx.data"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"suffix\.onnx\.data: expected sha256"):
        load_manifest(copy)
    assert verify.main([str(copy)]) == 1


def test_engines_are_built_from_it(folder, tmp_path):
    options = EngineOptions(
        model=folder, flavor="tensorrt_rtx", target="SM89", precision="fp32", out=tmp_path
    )
    engines = build_engine_set(options)
    weights = load_manifest(folder).graphs["suffix"].data
    assert engines.files["suffix"].bytes > weights.bytes / 2
