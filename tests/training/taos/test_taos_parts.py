# SPDX-License-Identifier: Apache-2.0
"""Objects that are kept back, and models that lie in plain OBJ files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amodal_ros.errors import InvalidInputError
from training.rendering.obj_model import parse_obj
from training.taos.config import TaosConfig
from training.taos.sources import open_source
from training.taos.sources.render import OWN, RenderSource, find_models, reader_of
from training.untrusted import CorruptRecordError, RejectedError


def keys(spec: str, config: TaosConfig, cache: Path, part: str) -> list[Any]:
    return list(open_source(spec, replace(config, part=part), cache).pool(0))


@pytest.mark.parametrize("kind", ["yolo", "coco", "cutouts"])
def test_what_is_kept_back_is_not_learnt_from(
    kind: str, yolo_root: Path, coco_root: Path, cutouts_root: Path, config, tmp_path: Path
) -> None:
    spec = {
        "yolo": f"yolo:{yolo_root}",
        "coco": f"coco:{coco_root}/instances.json@{coco_root}/images",
        "cutouts": f"cutouts:{cutouts_root}",
    }[kind]
    whole, train, held = (keys(spec, config, tmp_path, part) for part in ("all", "train", "held"))
    assert set(train) | set(held) == set(whole)
    assert not set(train) & set(held)
    assert 1 <= len(held) < len(train)
    assert held == keys(spec, config, tmp_path, "held")
    more = open_source(spec, replace(config, part="held", held_share=0.9), tmp_path).pool(0)
    assert len(more) == len(whole) - 1


def test_all_views_of_a_model_are_on_one_side(obj_folder: Path, tmp_path: Path) -> None:
    config = TaosConfig(render_views=5)
    spec = f"render:{obj_folder}"
    held = keys(spec, config, tmp_path, "held")
    assert len({model for model, _ in held}) == 1
    assert len(held) == 5
    lonely = f"render:{obj_folder / 'cup.obj'}"
    assert len(keys(lonely, config, tmp_path, "held")) == 1  # of five views
    with pytest.raises(InvalidInputError, match="expected at least two objects, one to keep back"):
        keys(lonely, replace(config, render_views=1), tmp_path, "held")


def test_models_in_obj_files_are_found_with_what_lies_beside_them(obj_folder: Path) -> None:
    models = find_models(obj_folder)
    assert [model.model_id for model in models] == ["cup.obj", "tools/awl.obj"]
    assert {model.licence for model in models} == {OWN}
    (mesh,) = parse_obj(models[0].member, reader_of(models[0]))
    assert mesh.colour == (0.2, 0.4, 0.6)
    with pytest.raises(RejectedError, match="model_file_missing"):
        reader_of(models[1])("awl.mtl")
    with pytest.raises(CorruptRecordError, match="expected a path inside"):
        reader_of(models[1])("../cup.mtl")


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"no \.obj and no \.sh3f in"):
        RenderSource(f"render:{tmp_path}", tmp_path, TaosConfig(), tmp_path)


@pytest.fixture
def obj_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "tools").mkdir(parents=True)
    corners = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    lines = [f"v {x} {y} {z}" for x, y, z in corners]
    faces = ["1 2 4 3", "5 7 8 6", "1 5 6 2", "3 4 8 7", "1 3 7 5", "2 6 8 4"]
    body = "\n".join([*lines, *(f"f {face}" for face in faces)]) + "\n"
    (folder / "cup.obj").write_text("mtllib cup.mtl\nusemtl blue\n" + body)
    (folder / "cup.mtl").write_text("newmtl blue\nKd 0.2 0.4 0.6\n")
    (folder / "tools" / "awl.obj").write_text(body)
    return folder
