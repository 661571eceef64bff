# SPDX-License-Identifier: Apache-2.0
"""What a run over a recording has done so far: the same command goes on from there after a kill.

`OUT.part/` holds `run.json` (which run it is), the answers in MCAP files, each whole, and
`state.bin`: how many frames and files count, and the tracks after them. A resumed run gives the
same answers as one that was never interrupted.
"""

from __future__ import annotations

import io
import json
import pickle
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import write_bytes, write_text
from amodal_ros.tracking.tracker import AmodalTracker

_RUN, _STATE = "run.json", "state.bin"
# Modules whose classes a state is made of; nothing in them does more than to hold values.
_OURS = ("amodal_ros.tracking.", "amodal_ros.image.", "amodal_ros.types", __name__)
# How numpy names what its pickles are made of; in version 2 the package has another name.
_NUMPY = frozenset(
    (f"numpy.{core}.multiarray", name)
    for core in ("core", "_core")
    for name in ("_reconstruct", "scalar")
) | {("numpy", "ndarray"), ("numpy", "dtype")}


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        frames: so many of the recording's frames are done.
        answered: so many of them have an answer.
        objects: in all answers.
        located: so many frames have 3D boxes.
        segments: files that hold the answers.
        counts: faults by name.
        tracker: after the last frame.
    """

    frames: int = 0
    answered: int = 0
    objects: int = 0
    located: int = 0
    segments: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    tracker: AmodalTracker | None = None


class Checkpoints:
    """The folder of an unfinished run."""

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        self.folder = out.with_name(f"{out.name}.part")
        self._identity = json.loads(json.dumps(identity))

    def begin(self, anew: bool = False) -> Progress:
        """Makes the folder, or finds what an earlier run has done.

        Raises:
            InvalidInputError: the folder is another run's, or damaged.
            OSError: it cannot be written.
        """
        if anew:
            self.remove()
        state = self.folder / _STATE
        if state.is_file():
            self._check_identity()
            return _load(state)
        # A run that ended before its first frame, as for want of a model, binds nobody.
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / _RUN, json.dumps(self._identity, indent=2) + "\n")
        return Progress()

    def save(self, progress: Progress, answers: bytes) -> None:
        """Adds a file of answers and notes the progress.

        Raises:
            OSError: they cannot be written.
        """
        write_bytes(self._segment(progress.segments), answers)
        progress.segments += 1
        write_bytes(self.folder / _STATE, pickle.dumps(progress))

    def segments(self, progress: Progress) -> Iterator[Path]:
        """The files that hold the answers, in order."""
        return map(self._segment, range(progress.segments))

    def remove(self) -> None:
        """Removes the folder; can be called twice."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _segment(self, number: int) -> Path:
        return self.folder / f"{number:06d}.mcap"

    def _check_identity(self) -> None:
        try:
            found = json.loads((self.folder / _RUN).read_text(encoding="utf-8"))
        except ValueError as error:
            raise InvalidInputError(f"{self.folder / _RUN} is damaged: {error}") from error
        if found == self._identity:
            return
        keys = [key for key in self._identity if found.get(key) != self._identity[key]]
        differences = ", ".join(
            f"{key} {json.dumps(found.get(key))}, now {json.dumps(self._identity[key])}"
            for key in keys
        )
        raise InvalidInputError(
            f"{self.folder} is of another run ({differences}): go on with the same arguments, or "
            "begin anew with --restart"
        )


class _KnownTypes(pickle.Unpickler):
    """Reads values of the tracker and of numpy alone: a planted file cannot run anything."""

    def find_class(self, module: str, name: str) -> Any:
        known = (module, name) in _NUMPY
        if not known and not (module.startswith(_OURS) and "." not in name):
            raise pickle.UnpicklingError(f"{module}.{name} does not belong there")
        kind = super().find_class(module, name)
        if not known and not (isinstance(kind, type) and kind.__module__ == module):
            raise pickle.UnpicklingError(f"{module}.{name} is no type of that module")
        return kind


def _load(file: Path) -> Progress:
    try:
        progress = _KnownTypes(io.BytesIO(file.read_bytes())).load()
    except Exception as error:  # whatever damaged bytes lead to
        raise InvalidInputError(
            f"{file} is damaged ({error}): begin anew with --restart"
        ) from error
    if not isinstance(progress, Progress):
        raise InvalidInputError(f"{file} holds no progress of a run: begin anew with --restart")
    return progress
