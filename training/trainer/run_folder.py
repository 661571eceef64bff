# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: its configuration, where it came from, its losses, its checkpoints."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import write_text
from amodal_ros.reporting import git_commit, package_versions
from training.trainer.config import TrainConfig
from training.trainer.config_files import (
    changed_keys,
    config_to_dict,
    read_config_dict,
    write_config,
)

CONFIG, STARTS, LOSSES, VALIDATION = (
    "config.yaml",
    "starts.jsonl",
    "losses.jsonl",
    "validation.jsonl",
)
# Settings that are gone, and the value with which they did nothing: runs begun with it go on.
_GONE = {"visible_prior_share": 0.0}
_PACKAGES = ("torch", "lightning-fabric", "numpy", "timm", "sam2", "segment-anything")


class RunFolder:
    """Paths and records of one run."""

    def __init__(self, path: Path) -> None:
        """Look at a folder, which need not exist."""
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.tensorboard = path / "tensorboard"

    def exists(self) -> bool:
        """Whether a run was started here."""
        return (self.path / CONFIG).exists()

    def start(self, config: TrainConfig) -> None:
        """Begin a run here.

        Raises:
            InvalidInputError: There is one already.
        """
        if self.exists():
            raise InvalidInputError(
                f"{self.path} holds a run already: continue it with --resume, or name another "
                f"folder with --run"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_config(self.path / CONFIG, config)

    def check_resume(
        self, config: TrainConfig, *, allow_changes: bool, begun: int = 0
    ) -> list[str]:
        """Compare a configuration with the run's own, and keep the newer one.

        Where and how often things happen may differ, and so may phases that are to come; anything
        else makes another run of it.

        Returns:
            The differences.

        Raises:
            InvalidInputError: There is no run here, or it had another configuration.
        """
        if not self.exists():
            raise InvalidInputError(f"{self.path} holds no run to resume")
        old, new = read_config_dict(self.path / CONFIG), config_to_dict(config)
        old = {key: value for key, value in old.items() if _GONE.get(key, ...) != value}
        changes = changed_keys(old, new)
        harmless = ["devices.", "log.", "batch.num_workers:", "batch.prefetch:"]
        harmless += [f"checkpoint.{name}:" for name in ("every_steps", "every_minutes", "keep")]
        if old.get("phases", [])[:begun] == new["phases"][:begun]:
            harmless.append("phases:")
        serious = [change for change in changes if not change.startswith(tuple(harmless))]
        if serious and not allow_changes:
            raise InvalidInputError(
                f"{self.path} was trained with another configuration ({'; '.join(serious)}); "
                f"--allow-changes resumes it all the same"
            )
        if changes:
            write_config(self.path / CONFIG, config)
        return changes

    def record_start(self, step: int, changes: Sequence[str]) -> None:
        """Note that a process begins, or goes on, with this run."""
        self._append(
            STARTS,
            {
                "step": step,
                "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "commit": git_commit(),
                "command": sys.argv[1:],
                "python": platform.python_version(),
                "packages": package_versions(_PACKAGES),
                "changes": list(changes),
            },
        )

    def append_losses(self, values: Mapping[str, float]) -> None:
        """Add a step to the loss log."""
        self._append(LOSSES, values)

    def append_validation(self, values: Mapping[str, Any]) -> None:
        """Add a validation."""
        self._append(VALIDATION, values)

    def validations(self) -> list[dict[str, Any]]:
        """Return all validations so far."""
        return _read_lines(self.path / VALIDATION)

    def truncate_after(self, step: int) -> None:
        """Drop from the logs what was recorded after a step: it will be done again."""
        for name in (LOSSES, VALIDATION):
            path = self.path / name
            kept = [line for line in _read_lines(path) if line["step"] <= step]
            write_text(path, "".join(json.dumps(line) + "\n" for line in kept))

    def _append(self, name: str, values: Mapping[str, Any]) -> None:
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(values)) + "\n")


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a JSONL file; a kill may have left a last line without its end, which is dropped."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]
