# SPDX-License-Identifier: Apache-2.0
"""A whole run: its phases one after another, in one folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from training.trainer.build import build_run
from training.trainer.checkpoints import CheckpointFolder, read_state
from training.trainer.config import TrainConfig
from training.trainer.loading import DataSource
from training.trainer.loop import Trainer, TrainResult
from training.trainer.phases import Phase, phase_at
from training.trainer.run_folder import RunFolder
from training.trainer.world import World

logger = logging.getLogger(__name__)


class Recipe:
    """Carries a run through its phases; the state goes from one to the next as a whole."""

    def __init__(
        self,
        config: TrainConfig,
        phases: Sequence[Phase],
        source: DataSource,
        world: World,
        folder: RunFolder,
    ) -> None:
        """Prepare, without a change to the folder."""
        self._config, self._phases = config, phases
        self._source, self._world, self._folder = source, world, folder
        self._number = 0
        self._trainer: Trainer | None = None

    def start(self, from_state: Path | None = None) -> None:
        """Begin a new run.

        Args:
            from_state: A state to go on from, written by ``python -m training.keep``.

        Raises:
            AmodalError: There is a run in the folder, or the state does not fit.
        """
        state = None if from_state is None else read_state(from_state)
        step = 0 if state is None else int(state["step"])
        self._enter(phase_at(self._phases, step))
        if self._world.is_main:
            self._folder.start(self._config)
        self._world.barrier()
        if state is not None:
            self._current().begin_from(state)
        self._record(step, [])

    def resume(self, *, allow_changes: bool) -> None:
        """Go on from the newest checkpoint.

        Raises:
            AmodalError: There is no run to resume, or it had another configuration.
        """
        steps = CheckpointFolder(self._folder.checkpoints, keep=1).steps()
        step = steps[-1] if steps else 0
        number = phase_at(self._phases, step)
        begun = number + int(step > self._phases[number].span.first_step)
        changes: list[str] = []
        if self._world.is_main:
            changes = self._folder.check_resume(
                self._config, allow_changes=allow_changes, begun=begun
            )
        self._world.barrier()
        self._enter(number)
        self._current().resume()
        self._record(step, changes)

    def train(self) -> TrainResult:
        """Train to the end of the last phase, or until a signal stops it.

        Raises:
            TrainingDivergedError: See :meth:`Trainer.train`.
        """
        while True:
            result = self._current().train()
            if not result.is_finished or self._number + 1 == len(self._phases):
                return result
            state = self._current().state_dict()
            self._enter(self._number + 1)
            self._current().carry_on(state)

    def _enter(self, number: int) -> None:
        self._number = number
        phase = self._phases[number]
        if len(self._phases) > 1 and self._world.is_main:
            span = phase.span
            logger.info(
                "phase %d of %d: steps %d to %d",
                number + 1, len(self._phases), span.first_step, span.last_step,
            )  # fmt: skip
        self._trainer = Trainer(build_run(phase, self._source, self._world), self._folder)

    def _current(self) -> Trainer:
        if self._trainer is None:
            raise InvalidInputError("expected a run that was started or resumed")
        return self._trainer

    def _record(self, step: int, changes: Sequence[str]) -> None:
        if self._world.is_main:
            self._folder.record_start(step, changes)
