# SPDX-License-Identifier: Apache-2.0
"""Rendered 3D models as cut-outs, kept in a cache folder once made.

Models are those of Sweet Home 3D catalogues, and plain OBJ files with what lies beside them.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import write_bytes
from training.rendering.obj_model import parse_obj, shape_reason
from training.rendering.sh3f import CatalogueModel, inside, model_reader, read_catalogue
from training.taos.config import TaosConfig
from training.taos.sources.base import CutOutSource
from training.taos.sources.cutouts import cut_out_from_rgba
from training.taos.sources.mujoco_views import render_views
from training.taos.types import CutOut
from training.untrusted import CorruptRecordError, RejectedError, decode_rgba, read_bytes

_RECIPE = 1
Key = tuple[int, int]


class RenderSource(CutOutSource):
    """OBJ files, and models of catalogues whose licence is listed, from seeded viewpoints.

    All views of a model are rendered when the first of them is wanted.
    """

    kind = "render"

    def __init__(self, spec: str, root: Path, config: TaosConfig, cache: Path) -> None:
        """Finds the models and sifts those of catalogues by licence.

        Raises:
            InvalidInputError: if no model is there or none has a listed licence.
            CorruptRecordError: if a catalogue cannot be read.
        """
        self.spec = spec
        self._config = config
        self._cache = cache / "render"
        models = find_models(root)
        if not models:
            raise InvalidInputError(f"source {spec}: no .obj and no .sh3f in {root}")
        self._models = [
            model
            for model in models
            if model.licence in (*config.licences, OWN)
            and model.model_id not in config.excluded_models
        ]
        if not self._models:
            found = sorted({model.licence for model in models})
            raise InvalidInputError(
                f"source {spec}: no model under {list(config.licences)}; found {found}"
            )

    def records(self, shard: int) -> Sequence[Key]:
        """(model, view) for all models and views."""
        views = range(self._config.render_views)
        return [(model, view) for model in range(len(self._models)) for view in views]

    def group(self, key: Key) -> str:
        """The model: its views belong together."""
        return self._models[key[0]].model_id

    def cut_out(self, key: Key) -> CutOut:
        """One view of one model (see `CutOutSource.cut_out`)."""
        model = self._models[key[0]]
        stem = self._stem(model)
        picture, refusal = self._cache / f"{stem}_{key[1]}.png", self._cache / f"{stem}.rejected"
        if refusal.exists():
            raise RejectedError(refusal.read_text(encoding="ascii"))
        if not picture.exists():
            self._render(model, stem)
        place = (model.catalogue, model.model_id)
        rgba = decode_rgba(read_bytes(picture, model.model_id), *place)
        origin = {
            "source": self.spec,
            "kind": self.kind,
            "file": Path(model.catalogue).name,
            "record": model.model_id,
            "view": key[1],
            "category": model.name,
            "licence": model.licence,
            "creator": model.creator,
        }
        return cut_out_from_rgba(rgba, origin, place)

    def prefill(self) -> tuple[int, int]:
        """Render what the cache lacks; returns how many models are usable, and how many not."""
        unusable = len(self.refused())
        return len(self._models) - unusable, unusable

    def refused(self) -> dict[str, str]:
        """Models that make no good object, each with the reason; renders what the cache lacks."""
        reasons = {}
        for number, model in enumerate(self._models):
            try:
                self.cut_out((number, 0))
            except RejectedError as error:
                reasons[model.model_id] = error.reason
        return reasons

    def _render(self, model: CatalogueModel, stem: str) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        archive = Path(model.catalogue)
        read = reader_of(model)
        try:
            meshes = parse_obj(model.member, read)
            if reason := shape_reason(meshes):
                raise RejectedError(reason)
            seeds = [
                np.random.SeedSequence(
                    [self._config.seed, zlib.crc32(model.model_id.encode("utf-8")), view]
                )
                for view in range(self._config.render_views)
            ]
            views = render_views(meshes, read, self._config.render_size, seeds)
        except RejectedError as error:
            self._keep(f"{stem}.rejected", error.reason.encode("ascii"))
            raise
        except ValueError as error:
            if isinstance(error, CorruptRecordError):
                raise
            raise CorruptRecordError(archive, model.model_id, str(error)) from error
        for number, rgba in enumerate(views):
            done, data = cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))
            if not done:
                raise OSError(f"OpenCV could not encode a view of {model.model_id}")
            self._keep(f"{stem}_{number}.png", data.tobytes())

    def _keep(self, name: str, data: bytes) -> None:
        """Several workers may make the same file; each appears whole, and they are equal."""
        write_bytes(self._cache / name, data)

    def _stem(self, model: CatalogueModel) -> str:
        config = self._config
        recipe = (
            _RECIPE,
            Path(model.catalogue).name,
            os.path.getsize(model.catalogue),
            model.model_id,
            config.seed,
            config.render_size,
            config.render_views,
        )
        return hashlib.sha256(repr(recipe).encode("utf-8")).hexdigest()[:24]


OWN = "own"
"""Licence of a plain OBJ file: whoever names it has the right to use it."""

_OBJ, _CATALOGUE = ".obj", ".sh3f"


def find_models(root: Path) -> list[CatalogueModel]:
    """Models of a catalogue or OBJ file, or of all below a folder; empty where there are none.

    Raises:
        CorruptRecordError: a catalogue cannot be read.
    """
    files = [root] if root.is_file() else sorted(root.rglob("*"))
    found: list[CatalogueModel] = []
    for path in files:
        suffix = path.suffix.lower()
        if suffix == _CATALOGUE:
            found += read_catalogue(path)
        elif suffix == _OBJ:
            name = path.name if path == root else path.relative_to(root).as_posix()
            found.append(
                CatalogueModel(
                    catalogue=str(path),
                    model_id=name,
                    member=path.name,
                    name=path.stem,
                    licence=OWN,
                    creator="",
                )
            )
    return found


def reader_of(model: CatalogueModel) -> Callable[[str], bytes]:
    """``(name) -> bytes`` for a model's files: members of its catalogue, or files beside its OBJ.

    It raises RejectedError for a file that is not there.
    """
    path = Path(model.catalogue)
    if path.suffix.lower() != _OBJ:
        return model_reader(path)

    def read(name: str) -> bytes:
        file = path.parent / inside(path, name)
        if not file.is_file():
            raise RejectedError("model_file_missing")
        return read_bytes(file, model.model_id)

    return read
