# SPDX-License-Identifier: Apache-2.0
"""What a user may say about fine-tuning, and what a folder was begun with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import write_text
from amodal_ros.model_folder.manifest import default_model_dir

_SETTINGS = "settings.json"


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """What to learn, from where, and what must not get worse.

    Attributes:
        source: the objects, KIND:PATH: coco:FILE.json@IMAGES, yolo:DIR, cutouts:DIR (RGBA
            pictures), white:DIR (on white ground), render:DIR (.obj or .sh3f models), photos:DIR
            (no masks: the base model makes them).
        out: new folder for everything; the model comes to lie in OUT/model.
        model: model folder to start from; by default the shipped one.
        adapters: its adapters (.safetensors); by default they are looked for by their digest.
        base: its base weights; by default the shipped model's, which are fetched.
        samples: how many samples training sees.
        keep_back: share of the objects of each source that are kept back for measuring.
        general: further material against forgetting, KIND:PATH; by default what the package
            tuxpaint-stamps-default installed.
        general_scenes: rendered scenes against forgetting, four pictures each; 0: none.
        stills: pictures of the tabletop benchmark that tell what was forgotten; 0: none.
        benchmark: a folder that holds them already (stills.json), as benchmarks.tabletop writes.
        allowed_loss: points that the benchmark's mIoU_full and mIoU_occ may lose.
        seed: of everything drawn.
    """

    source: tuple[str, ...]
    out: Path
    model: Path | None = None
    adapters: Path | None = None
    base: Path | None = None
    samples: int = 2400
    keep_back: float = 0.2
    general: tuple[str, ...] = ()
    general_scenes: int = 20
    stills: int = 16
    benchmark: Path | None = None
    allowed_loss: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            InvalidInputError: naming it.
        """
        if not self.source:
            raise InvalidInputError("--source: expected at least one KIND:PATH, got none")
        for name, value, low, high in (
            ("samples", self.samples, 1, 10_000_000),
            ("keep-back", self.keep_back, 0.01, 0.9),
            ("general-scenes", self.general_scenes, 0, 100_000),
            ("stills", self.stills, 0, 100_000),
            ("allowed-loss", self.allowed_loss, 0, 100),
            ("seed", self.seed, 0, 2**31),
        ):
            if not low <= value <= high:
                raise InvalidInputError(f"--{name}: expected {low} to {high}, got {value}")

    @property
    def model_folder(self) -> Path:
        """Where training starts."""
        return self.model or default_model_dir()

    @property
    def recipe_file(self) -> Path:
        """The configuration of the training; once it is there the settings stand."""
        return self.out / "recipe.yaml"

    def claim(self) -> None:
        """Begin the folder, or make sure that it was begun with the same settings.

        A command that was refused before its recipe was written may be given again otherwise:
        only the cache is filled then, whose files' names carry what they depend on.

        Raises:
            InvalidInputError: it holds something else, was begun otherwise, or cannot be made.
        """
        file = self.out / _SETTINGS
        wanted = self._as_json()
        if file.is_file():
            found = json.loads(file.read_text(encoding="utf-8"))
            differing = sorted(key for key in wanted if found.get(key) != wanted[key])
            if differing and self.recipe_file.is_file():
                raise InvalidInputError(
                    f"{self.out} was begun with another --{', --'.join(differing)}; expected the "
                    "same command to go on, or another --out"
                )
        elif self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise InvalidInputError(f"--out: expected a new folder, {self.out} holds something")
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInputError(f"--out: {self.out} cannot be made: {error}") from error
        write_text(file, json.dumps(wanted, indent=1) + "\n")

    def _as_json(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in vars(self).items():
            if key == "out":
                continue
            plain = str(value.resolve()) if isinstance(value, Path) else value
            values[key.replace("_", "-")] = list(plain) if isinstance(plain, tuple) else plain
        return values
