# SPDX-License-Identifier: Apache-2.0
"""The benchmark of many objects on graphs of a few nodes: what it says must be what it ran."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import load_manifest
from export import benchmark
from export.benchmarking import comparison, contestants
from export.benchmarking.comparison import Settings, compare
from export.benchmarking.contestants import Entry, open_contestant
from export.benchmarking.memory import peak_rss_mb
from export.benchmarking.models import ExportFailedError, Model, open_models
from export.benchmarking.render import render
from export.benchmarking.scene import HW, draw_scene
from export.benchmarking.timing import ratios, time_side_by_side
from tests.export.small_models import base_files, model_folder
from tests.fakes import FakeBackend, fake_manifest

CPU = "CPUExecutionProvider"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    made = {mode: model_folder(root / mode, mode) for mode in ("full", "roi")}
    return {**made, "base": base_files(root / "base")}


@pytest.fixture(scope="module")
def document(folders: dict[str, Path]) -> dict[str, Any]:
    models = [Model(folders[mode], load_manifest(folders[mode])) for mode in ("roi", "full")]
    settings = Settings((1, 3), 3, 1, "onnxruntime", CPU, 1, True, folders["base"])
    return compare(models, settings)


def test_every_round_runs_everybody_once_and_begins_with_another() -> None:
    order: list[str] = []
    functions = {name: (lambda name=name: order.append(name)) for name in "abc"}
    samples = time_side_by_side(functions, 1, 3)
    assert ["".join(order[i : i + 3]) for i in range(0, 12, 3)] == ["abc", "bca", "cab", "abc"]
    assert {name: len(values) for name, values in samples.items()} == {"a": 3, "b": 3, "c": 3}


def test_times_and_ratios_are_those_of_the_functions() -> None:
    samples = time_side_by_side(
        {"slow": lambda: time.sleep(0.06), "fast": lambda: time.sleep(0.015)}, 0, 3
    )
    assert min(samples["slow"]) >= 60
    assert ratios([2, 9], [4, 3]) == [0.5, 3]


@pytest.mark.parametrize("objects", [1, 5, 16])
def test_scene(objects: int) -> None:
    image, boxes = draw_scene(objects)
    assert image.shape == (*HW, 3)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= [HW[1], HW[0]]).all()
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert ((sides >= 59.9) & (sides <= 320.1)).all()
    again, same = draw_scene(objects)
    assert np.array_equal(image, again)
    assert np.array_equal(boxes, same)


@pytest.mark.parametrize("mode", ["full", "roi"])
def test_the_naive_way_gives_our_masks(folders: dict[str, Path], mode: str) -> None:
    image, boxes = draw_scene(5)
    found = []
    for kind in ("ours", "naive"):
        contestant = open_contestant(Entry(kind, str(folders[mode]), "onnxruntime", CPU, 1))
        found.append(contestant.run(image, boxes))
        contestant.close()
    (amodal, visible), (naive_amodal, naive_visible) = found
    assert amodal.any(axis=(1, 2)).sum() >= 4  # one is smaller than a cell of mode `full`
    assert np.array_equal(amodal, naive_amodal | naive_visible)
    assert np.array_equal(visible, naive_visible)


@pytest.mark.parametrize("mode", ["full", "roi"])
def test_the_naive_way_runs_a_whole_encoder_per_object(
    folders: dict[str, Path], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contestant: Any = open_contestant(Entry("naive", str(folders[mode]), "onnxruntime", CPU, 1))
    run, calls = contestant._backend.run, []

    def count(graph: str, inputs: Any) -> Any:
        calls.append((graph, inputs.get("adapter_gain", [None])[0]))
        return run(graph, inputs)

    monkeypatch.setattr(contestant._backend, "run", count)
    contestant.run(*draw_scene(4))
    unadapted = 1 if mode == "full" else 4
    assert [graph for graph, _ in calls].count("prefix") == 4 + unadapted
    assert calls.count(("suffix", 1.0)) == 4
    assert calls.count(("suffix", 0.0)) == unadapted


@pytest.mark.parametrize(("mode", "geometry"), [("full", "letterbox"), ("roi", "roi")])
def test_the_naive_way_of_a_model_of_one_pass_needs_no_other(
    mode: str, geometry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = fake_manifest(mode, geometry, one_pass=True)
    monkeypatch.setattr(contestants, "load_manifest", lambda _: manifest)
    monkeypatch.setattr(contestants, "open_backend", lambda manifest, _: FakeBackend(manifest))
    naive: Any = open_contestant(Entry("naive", "", "onnxruntime", CPU, 1))
    image, boxes = draw_scene(3)
    amodal, visible = naive.run(image, boxes)
    assert amodal.shape == visible.shape == (3, *image.shape[:2])
    assert naive._backend.graphs_run() == ["prefix", "suffix", "decoder"] * 3
    ours = AmodalPredictor(manifest, FakeBackend(manifest))
    found = ours.predict(ours.encode(image), boxes)
    assert np.array_equal(amodal, found.raw_amodal_masks)
    assert np.array_equal(visible, found.visible_masks)


def test_unknown_contestant() -> None:
    with pytest.raises(InvalidInputError, match=r"expected one of .* got 'magic'"):
        open_contestant(Entry("magic", "", "onnxruntime", CPU, 1))


def test_document_holds_what_is_asked_of_it(document: dict[str, Any]) -> None:
    assert [row["n_objects"] for row in document["results"]] == [1, 3]
    for row in document["results"]:
        for key in ("ours_ms", "naive_ms", "base_onnx_ms", "naive_same_mode_ms", "rss_mb"):
            assert row[key] > 0
        assert row["torch_ms"] is None
        spread = row["spread"]["ratio_naive"]
        assert spread["min"] <= spread["q1"] <= row["ratio_naive"] <= spread["q3"]
        assert set(row["steps_ms"]) == {
            *("preprocess", "prefix", "prior", "suffix", "decoder", "postprocess")
        }
        steps = sum(row["steps_ms"].values())
        assert 0 < steps < 1.5 * row["ours_ms"]
    (other,) = document["other_models"]
    assert other["mode"] == "full"
    assert "naive_same_mode_ms" not in other["results"][0]
    assert set(document["rss_mb_of_others"]) == {"naive", "naive roi", "base"}
    assert {"commit", "machine", "versions"} <= set(document)
    assert len(document["models"][0]["sha256"]["prefix"]) == 64
    assert set(document["marks"]) == {"one_object_over_base"}
    json.dumps(document, allow_nan=False)


def test_all_sides_run_in_the_best_engine_and_in_onnxruntime(folders: dict[str, Path]) -> None:
    models = [Model(folders[mode], load_manifest(folders[mode])) for mode in ("roi", "full")]
    settings = Settings((8,), 1, 0, "openvino", CPU, 1, True, folders["base"])
    found = compare(models, settings)
    assert found["settings"]["backend"] == "openvino"
    (row,) = found["results"]
    for key in ("ours", "naive", "base_onnx", "base_same", "ours_onnx", "naive_onnx"):
        assert row[f"{key}_ms"] > 0
    assert row["ratio_base"] == pytest.approx(row["ours_ms"] / row["base_onnx_ms"], rel=1e-3)
    assert row["ratio_base_same"] == pytest.approx(row["ours_ms"] / row["base_same_ms"], rel=1e-3)
    wanted = row["ours_onnx_ms"] / row["naive_onnx_ms"]
    assert row["ratio_naive_onnx"] == pytest.approx(wanted, rel=1e-3)
    assert set(found["marks"]) == {
        "eight_objects_over_naive",
        "eight_objects_over_base",
        "eight_objects_over_base_in_the_same_engine",
    }


def test_the_smaller_size_is_timed_beside_the_full_one(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = [Model(folders[mode], load_manifest(folders[mode])) for mode in ("roi", "full")]
    settings = Settings((8,), 1, 0, "onnxruntime", CPU, 1, True, folders["base"])
    assert "ours small" not in comparison._entries(models, settings)
    with pytest.raises(InvalidInputError, match="expected graphs of a smaller size"):
        open_contestant(settings.entry("small", folders["roi"]))
    with pytest.raises(InvalidInputError, match="expected graphs of a smaller size"):
        open_contestant(settings.entry("both", folders["roi"]))
    for module in (comparison, contestants):  # as if the folder had a second size, of equal graphs
        monkeypatch.setattr(module, "load_small", lambda manifest: manifest)
    asked = []

    def in_another_process(entry: Entry, objects: int) -> float:  # there the folder has one size
        if entry.kind == "both":
            asked.append(entry.kind)
            return 1.0
        return peak_rss_mb(entry, objects)

    monkeypatch.setattr(comparison, "peak_rss_mb", in_another_process)
    found = compare(models, settings)
    (row,) = found["results"]
    assert row["ratio_naive_small"] == pytest.approx(
        row["ours_small_ms"] / row["naive_ms"], rel=1e-3
    )
    assert row["ratio_base_small"] > 0
    assert asked == ["both"]
    assert row["rss_both_mb"] > 0
    assert "ours small" not in found["rss_mb_of_others"]
    path = tmp_path / "document.md"
    path.write_text("<!-- generated many objects -->\n<!-- end many objects -->\n")
    render(path, found)
    assert "| ours small ms | ours small / naive | ours small / base |" in path.read_text()


def test_tables_replace_those_between_the_marks(document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "document.md"
    path.write_text(
        "before\n<!-- generated many objects -->\nold\n<!-- end many objects -->\nafter\n"
    )
    render(path, document)
    text = path.read_text()
    assert text.startswith("before\n<!-- generated many objects -->\n")
    assert text.endswith("<!-- end many objects -->\nafter\n")
    assert "old" not in text
    assert "| 3 | " in text


def test_memory_is_that_of_another_process(folders: dict[str, Path]) -> None:
    entry = Entry("ours", str(folders["roi"]), "onnxruntime", CPU, 1)
    assert 40 < peak_rss_mb(entry, 2, frames=1) < 600
    with pytest.raises(RuntimeError, match="ours with 2 objects failed"):
        peak_rss_mb(Entry("ours", "nowhere", "onnxruntime", CPU, 1), 2)


def test_missing_mode_that_cannot_be_exported(folders: dict[str, Path], tmp_path: Path) -> None:
    content = json.loads((folders["full"] / "manifest.json").read_text())
    content["source"] = {"config": {"positions": [], "hidden_dim": None}}
    copy = model_folder(tmp_path / "alone", "full")
    (copy / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ExportFailedError, match="mode roi could not be exported"):
        open_models([copy], tmp_path / "no weights", tmp_path)


def test_command_line(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    out = tmp_path / "results" / "out.json"
    arguments = ["--out", str(out), "--objects", "2", "--repeats", "1", "--threads", "1"]
    arguments += ["--base", str(folders["base"]), "--models", str(folders["roi"])]
    arguments += [str(folders["full"]), "--without", "torch"]
    assert benchmark.main(arguments) == 0
    assert json.loads(out.read_text())["results"][0]["n_objects"] == 2
    assert "mode roi" in capsys.readouterr().out
    page = tmp_path / "page.md"
    page.write_text("<!-- generated many objects -->\n<!-- end many objects -->\n")
    assert benchmark.main(["--out", str(out), "--render", str(page)]) == 0
    assert "| objects |" in page.read_text()
    assert benchmark.main([*arguments, "--provider", "MagicProvider"]) == 2
    monkeypatch.setitem(__import__("sys").modules, "mobile_sam", None)
    monkeypatch.delitem(
        __import__("sys").modules, "export.benchmarking.official_predictor", raising=False
    )
    assert benchmark.main(arguments[:-2]) == 2


@pytest.mark.parametrize("wrong", [["--objects", "0"], ["--repeats", "0"], ["--without", "all"]])
def test_wrong_arguments(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(["--out", "x.json", *wrong])
