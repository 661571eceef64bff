# SPDX-License-Identifier: Apache-2.0
"""The parts of a fine-tuning: settings, material, configuration, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from amodal_ros.errors import CheckpointError, InvalidInputError
from amodal_ros.modeling.checkpoint import read_header, read_tensors
from amodal_ros.modeling.config import AmodalConfig
from tests.training.finetune.conftest import write_adapters
from training.data.config import DataConfig
from training.datasets import open_dataset
from training.finetune import material as material_module
from training.finetune.held_back import make_held_back
from training.finetune.material import open_material
from training.finetune.measuring import Figures, lost
from training.finetune.pipeline import Result, finetune, refusal, report_markdown
from training.finetune.running import own_alone, recipe, write_recipe
from training.finetune.settings import FinetuneSettings
from training.finetune.start import find_start, write_between
from training.trainer.config_files import load_config

DEVICE = {"accelerator": "cpu", "devices": "1", "precision": "32-true"}


@pytest.fixture
def settings(own: Path, others: Path, tmp_path: Path) -> FinetuneSettings:
    return FinetuneSettings(
        source=(f"cutouts:{own}",),
        general=(f"cutouts:{others}",),
        general_scenes=0,
        out=tmp_path / "out",
    )


def start(two_masks: bool = True, mode: str = "roi") -> SimpleNamespace:
    config = AmodalConfig(base="mobile_sam", image_size=64, visible_output=two_masks)
    return SimpleNamespace(
        header=SimpleNamespace(config=config),
        manifest=SimpleNamespace(image_size=128, mode=mode, roi_factor=1.6),
        base=Path("base"),
        adapters=Path("adapters.safetensors"),
    )


def figures(full: float, occ: float | None = 50.0) -> Figures:
    return Figures(objects=10, full=full, occ=occ, unoccluded=90.0, visible=80.0)


def test_a_refused_command_may_be_given_again_otherwise(settings: FinetuneSettings) -> None:
    """Nothing was made from the first settings: neither a folder of theirs nor a recipe."""
    with pytest.raises(InvalidInputError, match=r"--benchmark: expected .*stills\.json"):
        finetune(replace(settings, benchmark=settings.out.parent))
    assert not settings.out.exists()
    with pytest.raises(InvalidInputError, match="does not exist"):
        finetune(replace(settings, source=("cutouts:/no/such/folder",)))
    settings.claim()
    with pytest.raises(InvalidInputError, match=r"--out: .* cannot be made"):
        replace(settings, out=settings.out / "settings.json" / "out").claim()


def test_a_folder_goes_on_with_the_same_settings_alone(settings: FinetuneSettings) -> None:
    settings.claim()
    settings.claim()
    settings.recipe_file.touch()
    with pytest.raises(InvalidInputError, match="begun with another --samples, --seed"):
        replace(settings, samples=3, seed=1).claim()
    taken = settings.out.parent / "taken"
    taken.mkdir()
    (taken / "notes.txt").touch()
    with pytest.raises(InvalidInputError, match="expected a new folder"):
        replace(settings, out=taken).claim()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": ()}, "--source: expected at least one KIND:PATH"),
        ({"samples": 0}, "--samples: expected 1 to"),
        ({"keep_back": 1.0}, "--keep-back: expected"),
    ],
)
def test_settings_that_cannot_be(settings: FinetuneSettings, change: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        replace(settings, **change)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("stl:/", "expected KIND:PATH with KIND one of"),
        ("cutouts:/no/such/folder", "does not exist"),
        ("coco:instances.json", "expected coco:annotations.json@images_folder"),
        ("yolo:{empty}", "expected a folder"),
        ("render:{empty}", "no .obj and no .sh3f"),
        ("cutouts:{empty}", "no .png or .webp"),
    ],
)
def test_sources_that_cannot_be_used(settings, spec: str, message: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidInputError, match=message):
        open_material(replace(settings, source=(spec.format(empty=empty),)))


def test_without_anything_general_it_says_what_to_install(settings, monkeypatch) -> None:
    monkeypatch.setattr(material_module, "STAMPS", Path("/no/stamps"))
    with pytest.raises(InvalidInputError, match="apt install tuxpaint-stamps-default"):
        open_material(replace(settings, general=()))
    monkeypatch.setattr(material_module, "DEBIAN_FOLDER", Path("/no/furniture"))
    with pytest.raises(InvalidInputError, match="--general-scenes 0 to learn without them"):
        open_material(replace(settings, general_scenes=2))


def test_objects_kept_back_are_measured_and_not_learnt_from(settings, own: Path) -> None:
    material = open_material(settings)
    assert material.counts == {f"cutouts:{own}": (4, 1)}
    settings.out.mkdir()
    file = make_held_back(settings, material, settings.out / "held_back", 6)
    dataset = open_dataset("amodal_coco", file.parent, file)
    assert len(dataset) == 6
    hidden = [dataset[index].occlusion_rate > 0 for index in range(6)]
    assert 0 < np.mean(hidden) < 1
    stamp = file.stat().st_mtime_ns
    assert make_held_back(settings, material, settings.out / "held_back") == file
    assert file.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("two_masks", [False, True])
def test_the_configuration_fits_the_schema_and_the_model(settings, two_masks, tmp_path) -> None:
    material = open_material(settings)
    config = recipe(start(two_masks), material, settings, DEVICE)
    file = tmp_path / "recipe.yaml"
    write_recipe(file, config)
    loaded = load_config(file, data_schema=DataConfig)
    assert loaded.steps == 150
    assert loaded.model["image_size"] == 128
    assert loaded.data.roi_factor == pytest.approx([1.28, 1.84])
    assert (loaded.loss.visible > 0) == (loaded.loss.intrusion > 0) == two_masks
    assert [source.kind for source in loaded.data.sources] == ["taos", "taos"]
    assert loaded.data.sources[0].options["part"] == "train"
    write_recipe(file, own_alone(config))
    assert len(load_config(file, data_schema=DataConfig).data.sources) == 1
    full = recipe(start(mode="full"), material, settings, DEVICE)
    assert full["data"]["framing"] == "full"
    assert "roi_factor" not in full["data"]


def test_photos_teach_as_they_are_too(settings, tmp_path: Path) -> None:
    material = replace(open_material(settings), photos=("yolo:photos",))
    sources = recipe(start(), material, settings, DEVICE)["data"]["sources"]
    assert [source["kind"] for source in sources] == ["taos", "photos", "taos"]
    assert sources[1]["options"]["part"] == "train"


def test_between_the_older_and_the_newer_adapters(tmp_path: Path) -> None:
    older = write_adapters(tmp_path / "older.safetensors", visible_output=True)
    newer = tmp_path / "newer.safetensors"
    write_between(older, older, 1.0, newer)
    tensors = read_tensors(older)
    from safetensors.torch import save_file

    moved = {name: tensor + 1 for name, tensor in tensors.items()}
    header = {"training": json.dumps({"step": 5})}
    save_file(moved, newer, metadata=header)
    write_between(older, newer, 0.25, tmp_path / "between.safetensors")
    for name, tensor in read_tensors(tmp_path / "between.safetensors").items():
        torch.testing.assert_close(tensor, tensors[name] + 0.25)
    save_file({"other": torch.zeros(1)}, newer, metadata=header)
    with pytest.raises(CheckpointError, match="expected the tensors of"):
        write_between(older, newer, 0.5, tmp_path / "none.safetensors")


def test_the_header_of_what_is_between_says_so(tmp_path: Path) -> None:
    older = write_adapters(tmp_path / "older.safetensors", visible_output=False)
    write_between(older, older, 0.5, tmp_path / "between.safetensors")
    header = read_header(tmp_path / "between.safetensors")
    assert header.training == {"steps": 1, "share_of_the_way": 0.5}
    assert header.config == read_header(older).config


def test_adapters_are_found_by_their_digest(settings) -> None:
    """The shipped folder's lie in the tree, and no other file will do."""
    found = find_start(settings)
    assert found.adapters.parent.name == "state"
    assert found.header.config.base == "mobile_sam"
    with pytest.raises(InvalidInputError, match="is not the file that"):
        find_start(replace(settings, adapters=Path(__file__)))


def test_what_forgets_or_is_no_better_is_refused(settings) -> None:
    before = (figures(70.0), figures(88.0))
    assert refusal(settings, before, (figures(75.0), figures(87.6))) == ""
    worse = refusal(settings, before, (figures(75.0), figures(87.4)))
    assert worse == "it loses 0.60 points on the benchmark, 0.5 are allowed"
    assert lost(figures(88.0, 60.0), figures(89.0, 58.0)) == 2.0
    assert lost(figures(88.0, None), figures(88.5, None)) == -0.5
    assert "no better" in refusal(settings, before, (figures(70.0), figures(88.0)))
    assert refusal(settings, (figures(70.0), None), (figures(71.0), None)) == ""


def test_the_report_says_before_and_after_and_why() -> None:
    own = (figures(70.0, None), figures(75.0, None))
    text = report_markdown(Result(own, (figures(88), figures(87)), 0.5, None, "it forgets"))
    assert "| objects kept back, after | 10 | 75.00 | – | 90.00 | 80.00 |" in text
    assert "| tabletop benchmark, before | 10 | 88.00 | 50.00 |" in text
    assert "50 % of the way" in text
    assert "The older model stays: it forgets." in text
    assert "tabletop" not in report_markdown(Result(own, None, 1.0, Path("model")))
