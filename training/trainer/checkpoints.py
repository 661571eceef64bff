# SPDX-License-Identifier: Apache-2.0
"""The checkpoints of a run on disk.

``checkpoints/step_00001000/`` holds ``state.pt`` (all that training needs to continue, readable
with ``torch.load(weights_only=True)``) and ``adapters.safetensors`` (what export and evaluation
load). A folder is written under another name and renamed when it is complete, so that a kill at
any moment leaves only whole checkpoints. ``best`` and ``last`` are links, for people.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from amodal_ros.errors import CheckpointError
from amodal_ros.files import (
    remove_unfinished,
    unfinished_name,
    whole_file,
    whole_folder,
    write_text,
)

STATE, ADAPTERS = "state.pt", "adapters.safetensors"
_FOLDER = re.compile(r"step_(\d{8})")
_BEST_RECORD = "best.json"


@dataclass(frozen=True)
class Best:
    """The best checkpoint so far."""

    step: int
    score: float


class CheckpointFolder:
    """Writes, finds and prunes checkpoints."""

    def __init__(self, folder: Path, keep: int) -> None:
        """Look at a folder, which need not exist."""
        self._folder = folder
        self._keep = keep

    def steps(self) -> list[int]:
        """Return the steps of all whole checkpoints, ascending."""
        if not self._folder.is_dir():
            return []
        matches = (_FOLDER.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def path(self, step: int) -> Path:
        """Return the folder of a step's checkpoint."""
        return self._folder / f"step_{step:08d}"

    def best(self) -> Best | None:
        """Return the best checkpoint so far, if one was named.

        Raises:
            CheckpointError: The record of it is damaged.
        """
        record = self._folder / _BEST_RECORD
        if not record.exists():
            return None
        try:
            values = json.loads(record.read_text(encoding="utf-8"))
            return Best(int(values["step"]), float(values["score"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{record}: not readable: {error}") from error

    def save(
        self, step: int, state: Mapping[str, Any], save_adapters: Callable[[Path], None]
    ) -> Path:
        """Write a checkpoint, then drop what is neither new nor best.

        Args:
            step: Steps done.
            state: Tensors, numbers, strings, and lists and dicts of them.
            save_adapters: Writes ``adapters.safetensors`` to the path that it is given.
        """
        final = self.path(step)
        self._folder.mkdir(parents=True, exist_ok=True)
        with whole_folder(final) as unfinished:
            with whole_file(unfinished / STATE) as file:
                torch.save(dict(state), file)
            save_adapters(unfinished / ADAPTERS)
        self._link("last", final)
        self._prune()
        return final

    def set_best(self, best: Best) -> None:
        """Name a checkpoint that exists the best."""
        self._folder.mkdir(parents=True, exist_ok=True)
        record = self._folder / _BEST_RECORD
        write_text(record, json.dumps({"step": best.step, "score": best.score}) + "\n")
        self._link("best", self.path(best.step))
        self._prune()

    def drop_after(self, step: int) -> None:
        """Forget checkpoints of later steps and what a kill left unfinished."""
        if not self._folder.is_dir():
            return
        remove_unfinished(self._folder)
        for later in self.steps():
            if later > step:
                shutil.rmtree(self.path(later))

    def load(self, step: int) -> dict[str, Any]:
        """Read a checkpoint's state.

        Raises:
            CheckpointError: It is missing or unreadable.
        """
        return read_state(self.path(step) / STATE)

    def _link(self, name: str, target: Path) -> None:
        link = self._folder / name
        unfinished = unfinished_name(link)
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(target.name)
        os.replace(unfinished, link)

    def _prune(self) -> None:
        best = self.best()
        kept = set(self.steps()[-self._keep :])
        if best is not None:
            kept.add(best.step)
        for step in self.steps():
            if step not in kept:
                shutil.rmtree(self.path(step))


def read_state(path: Path) -> dict[str, Any]:
    """Read a training state.

    Raises:
        CheckpointError: if there is none, or it is damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a readable training state: {error}") from error
    if not isinstance(state, dict) or not isinstance(state.get("step"), int):
        raise CheckpointError(f"{path}: expected a training state with its step")
    return state
