# SPDX-License-Identifier: Apache-2.0
"""A second, smaller size in a model folder: exported, verified, loaded, run."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.external_data_helper import uses_external_data

from amodal_ros import loading
from amodal_ros.backends.onnxruntime.backend import CPU_PROVIDER
from amodal_ros.errors import BackendError, InvalidInputError, ManifestError
from amodal_ros.loading import EngineOptions, load_predictor
from amodal_ros.model_folder.manifest import load_manifest
from amodal_ros.model_folder.small import SMALL_NAME, load_small
from amodal_ros.modeling.amodal_sam import AmodalSam, VitSpec, build_sam
from amodal_ros.modeling.config import AmodalConfig
from export import small as small_module
from export.benchmarking.contestants import Entry, Ours, open_contestant
from export.benchmarking.scene import draw_scene
from export.folder import publish
from export.options import ExportOptions, check_options, parse_options
from export.source import SourceModel
from export.to_onnx import export_model, export_source, main
from tests.export.exported import MIN_MASK_IOU
from tests.modeling.family_support import SMALL, activate, randomise

HALF = SMALL // 2
# A block that sees all, before the adapter, and one that sees a window, behind it.
TWO_BLOCKS = VitSpec(embed_dim=48, depth=2, num_heads=2, global_blocks=(0,))
SEED = 0
BOXES = np.array([[20, 30, 90, 80], [100, 20, 140, 100], [60, 60, 150, 115]], np.float32)
IMAGE = np.random.default_rng(5).integers(0, 255, (120, 160, 3), dtype=np.uint8)


def sources() -> list[SourceModel]:
    """A narrow SAM of random weights at two sizes, which differ in its positions alone."""
    bases = [randomise(build_sam(TWO_BLOCKS, size)) for size in (SMALL, HALF)]
    known, own = bases[0].state_dict(), bases[1].state_dict()
    shared = {name: value for name, value in known.items() if value.shape == own[name].shape}
    bases[1].load_state_dict(shared, strict=False)
    found = []
    for base, size in zip(bases, (SMALL, HALF), strict=True):
        torch.manual_seed(SEED)
        config = AmodalConfig(base="sam_vit_b", image_size=size, visible_output=True)
        model = activate(AmodalSam(config, base, TWO_BLOCKS.default_positions()).eval())
        source = {"base": "random", "random_weights": True, "config": config.to_dict()}
        found.append(SourceModel(model, False, True, source))
    return found


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> ExportOptions:
    folder = tmp_path_factory.mktemp("two") / "model"
    return ExportOptions(
        base=Path("sam_vit_b"), out=folder, mode="roi", min_mask_iou=MIN_MASK_IOU, name="two"
    )


@pytest.fixture(scope="module")
def folder(options: ExportOptions) -> Path:
    full, small = sources()
    export_source(full, options, small)
    return options.out


def test_the_folder_has_both_sizes_and_each_weight_once(folder: Path) -> None:
    full = load_manifest(folder)
    small = load_small(full)
    assert small is not None
    assert (full.image_size, small.image_size) == (SMALL, HALF)
    assert (full.name, small.name) == ("two", "two")
    for graph, spec in small.graphs.items():
        assert spec.file.file == f"{graph}_{HALF}.onnx"
        assert spec.data == full.graphs[graph].file
        model = onnx.load(str(small.path_of(graph)), load_external_data=False)
        shared = [tensor for tensor in model.graph.initializer if uses_external_data(tensor)]
        assert shared
        whole = onnx.load(str(small.path_of(graph)))  # as any reader of ONNX would
        kept = {tensor.name for tensor in shared}
        taken = sum(len(t.raw_data) for t in whole.graph.initializer if t.name in kept)
        own = sum(len(t.raw_data) for t in whole.graph.initializer if t.name not in kept)
        assert taken > 5 * own


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_engines_run_both_sizes(folder: Path, tmp_path: Path, backend: str) -> None:
    engine = EngineOptions(backend, threads=1, precision="f32", cache_dir=tmp_path)
    predictor = load_predictor(folder, engine)
    assert predictor.looks_small
    assert predictor.notes["small_looks"] == f"{HALF} px"
    features = predictor.encode(IMAGE)
    found = predictor.predict(features, BOXES, small=[False, True, True])
    assert found.features is not None
    assert [found.features.of(row)[0].shape[-1] for row in range(3)] == [8, 4, 4]
    whole = predictor.predict(features, BOXES)
    assert found.raw_amodal[0].iou(whole.raw_amodal[0]) == 1
    assert found.raw_amodal[1].iou(whole.raw_amodal[1]) < 1
    predictor.close()


def test_the_smaller_size_is_loaded_where_it_is_wanted(folder: Path) -> None:
    plain = load_predictor(folder, EngineOptions("onnxruntime", threads=1), small_looks=False)
    assert (plain.looks_small, plain.notes["small_looks"]) == (False, "no")
    plain.close()


def test_memory_is_measured_at_both_sizes(folder: Path) -> None:
    contestant = open_contestant(Entry("both", str(folder), "onnxruntime", CPU_PROVIDER, 1))
    assert isinstance(contestant, Ours)
    sizes = []
    for predictor in (contestant.predictor, contestant.predictor._small):
        run = predictor.backend.run

        def counted(graph, inputs, run=run, predictor=predictor):
            sizes.append((graph, predictor.manifest.image_size))
            return run(graph, inputs)

        predictor.backend.run = counted
    contestant.run(*draw_scene(1))
    contestant.close()
    graphs = ("prefix", "suffix", "decoder")
    # A decoder may be asked twice.
    assert list(dict.fromkeys(sizes)) == [
        (graph, size) for size in (SMALL, HALF) for graph in graphs
    ]


def test_tensorrt_has_the_full_size_alone_and_says_so(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = load_small(load_manifest(folder))
    with caplog.at_level(logging.INFO, "amodal_ros"):
        found, note = loading._load_small(
            small,
            EngineOptions("tensorrt"),
            {"second_look": False, "ask_twice": False, "fine_edges": False},
        )
    assert found is None
    assert note == "no: tensorrt has engines of the full size alone"
    assert f"two has no engines of {HALF} px: all looks are full" in caplog.text


def test_a_folder_whose_full_size_was_exchanged_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    path = copy / f"suffix_{HALF}.onnx"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ManifestError, match=rf"suffix_{HALF}\.onnx: expected"):
        load_predictor(copy, EngineOptions("onnxruntime"))


def test_an_engine_that_is_wrong_at_the_smaller_size_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = loading.open_backend

    def broken(manifest, options):
        backend = real(manifest, options)
        opened.append(backend)
        if manifest.image_size == HALF:
            run = backend.run
            backend.run = lambda *given: {k: v * np.nan for k, v in run(*given).items()}
        return backend

    monkeypatch.setattr(loading, "open_backend", broken)
    with pytest.raises(BackendError, match="fails the precision gate"):
        load_predictor(folder, EngineOptions("onnxruntime", threads=1, verify=True))
    assert len(opened) == 2
    with pytest.raises(BackendError, match="not loaded"):  # the full size's is closed as well
        opened[0].run("prefix", {})


def test_a_size_at_which_masks_are_not_true_is_not_exported(
    options: ExportOptions, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = load_manifest(folder)
    assert small_module.truth_lost(full, load_small(full)) is None  # random weights
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    graphs = json.loads((copy / SMALL_NAME).read_text())["graphs"]
    monkeypatch.setattr(small_module, "truth_lost", lambda full, small: 0.06)
    monkeypatch.setattr(small_module, "export_components", lambda model, **how: [])
    monkeypatch.setattr(small_module, "write_small_graphs", lambda *given: graphs)
    monkeypatch.setattr(small_module, "check_parity", lambda *given: None)
    with pytest.raises(BackendError, match=r"expected at most 0\.05 less than with 128 px"):
        small_module.add_small(copy, sources()[1], options)


def test_exported_without_it_the_folder_has_one_size_again(folder: Path, tmp_path: Path) -> None:
    copy, anew = tmp_path / "model", tmp_path / "anew"
    shutil.copytree(folder, copy)
    shutil.copytree(folder, anew, ignore=shutil.ignore_patterns(SMALL_NAME, f"*_{HALF}.*"))
    publish(anew, copy)
    assert not (copy / SMALL_NAME).exists()
    assert not list(copy.glob(f"*_{HALF}*"))
    assert load_small(load_manifest(copy)) is None


def test_the_option(tmp_path: Path) -> None:
    given = parse_options(["--mode", "roi", "--size", "448", "--small-size", "320"], None)
    assert (given.image_size, given.small_size) == (448, 320)
    with pytest.raises(InvalidInputError, match="small_size: expected mode 'roi', got 'full'"):
        check_options(ExportOptions(base=tmp_path, out=tmp_path / "out", small_size=64))


@pytest.mark.slow
def test_the_command_on_real_weights(small_export, tmp_path: Path) -> None:
    out = tmp_path / "model"
    made = replace(small_export.options, mode="roi", image_size=128, small_size=96, out=out)
    export_model(made)
    full = load_manifest(made.out)
    small = load_small(full)
    assert small is not None
    sizes = {p.name: p.stat().st_size for p in made.out.iterdir()}
    added = sum(size for name, size in sizes.items() if "_96" in name)
    assert added < 0.06 * sum(sizes.values())


def test_the_command_refuses_a_small_size_of_a_whole_image(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    said = ["--base", str(base), "--out", str(tmp_path / "model"), "--small-size", "64"]
    assert main(said) == 1
