# SPDX-License-Identifier: Apache-2.0
"""What a run is to make, and what a chunk of it reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from amodal_ros.errors import InvalidInputError
from training.scenes.models import SPLITS

_PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, kw_only=True)
class SceneRun:
    """What to make; every chunk depends on this and its number alone.

    Attributes:
        models: folder of Sweet Home 3D catalogues.
        backgrounds: folder of photos for walls, tables and labels, or None.
        environments: folder of environment maps, or None: light of made-up rooms alone.
        split: which models are used.
        seed: of everything, at least 0.
        views: pictures of each scene.
        chunk_scenes: scenes in a chunk.
        slender: share of the props that are thin, long, holed or of wire, in [0, 1]; None: drawn
            for each scene, somewhat less than half in the mean.
    """

    models: Path
    backgrounds: Path | None = None
    environments: Path | None = None
    split: Literal["train", "validation"] = "train"
    seed: int = 0
    views: int = 4
    chunk_scenes: int = 50
    slender: float | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InvalidInputError: naming it.
        """
        if self.seed < 0 or self.views < 1 or self.chunk_scenes < 1:
            raise InvalidInputError(
                f"seed {self.seed}, views {self.views}, scenes of a chunk {self.chunk_scenes}: "
                "expected a seed of at least 0, and at least one of the others"
            )
        if self.slender is not None and not 0.0 <= self.slender <= 1.0:
            raise InvalidInputError(f"slender: expected a share in [0, 1], got {self.slender}")
        if self.split not in SPLITS:
            raise InvalidInputError(f"split: expected one of {SPLITS}, got {self.split!r}")
        for folder in (self.models, self.backgrounds, self.environments):
            if folder is not None and not folder.is_dir():
                raise InvalidInputError(f"{folder}: expected a folder")
        if self.backgrounds is not None and not self.photos():
            raise InvalidInputError(f"{self.backgrounds}: expected photos {_PHOTO_SUFFIXES}")

        if self.environments is not None and not self.maps():
            raise InvalidInputError(
                f"{self.environments}: expected .npz files of scripts.fetch_environments"
            )

    def maps(self) -> list[Path]:
        """Environment maps in a fixed order."""
        return [] if self.environments is None else sorted(self.environments.glob("*.npz"))

    def photos(self) -> list[Path]:
        """Background photos in a fixed order."""
        if self.backgrounds is None:
            return []
        found = self.backgrounds.rglob("*")
        return sorted(path for path in found if path.suffix.lower() in _PHOTO_SUFFIXES)


@dataclass(frozen=True)
class ChunkReport:
    """What a chunk holds: number, pictures, objects, seconds of processor time."""

    number: int
    pictures: int
    objects: int
    cpu_s: float


def chunk_name(number: int) -> str:
    """Folder of a chunk."""
    return f"chunk_{number:05d}"
