# SPDX-License-Identifier: Apache-2.0
"""The loop: steps, validation, checkpoints, until the last step or a signal."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from amodal_ros.modeling.checkpoint import save_checkpoint
from amodal_ros.reporting import git_commit
from training.trainer.build import Run
from training.trainer.checkpoints import Best, CheckpointFolder
from training.trainer.config_files import config_to_dict
from training.trainer.guard import TrainingDivergedError, save_batches
from training.trainer.loading import Batch
from training.trainer.phases import learning_rate
from training.trainer.records import Records
from training.trainer.run_folder import RunFolder
from training.trainer.state import round_state
from training.trainer.step import GradientStep
from training.trainer.validation import Validation, Validator

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """How a process ended."""

    step: int
    is_finished: bool


class Trainer:
    """Carries a run from its current step to the last of its phase."""

    def __init__(self, run: Run, folder: RunFolder) -> None:
        """Prepare, without a change to the folder."""
        self._run = run
        self._config, self._world, self._state = run.config, run.world, run.state
        self._folder = folder
        self._checkpoints = CheckpointFolder(folder.checkpoints, run.config.checkpoint.keep)
        self._gradients = GradientStep(
            run.config, run.state.model, run.state.discriminator, run.world, run.plan
        )
        self._validator: Validator | None = None
        if run.validation is not None:
            self._validator = Validator(run.config, run.source, run.validation, run.world)
        self._stop_requested = False
        self._last_save = time.monotonic()

    def resume(self) -> None:
        """Continue from the newest checkpoint, or from the start where a kill came before it."""
        steps = self._checkpoints.steps()
        if steps:
            self._state.load_dict(self._checkpoints.load(steps[-1]))
            self._settle()
        if self._world.is_main:
            self._checkpoints.drop_after(self._state.step)
            self._folder.truncate_after(self._state.step)
            self._recover_best()
        self._world.barrier()

    def begin_from(self, state: Mapping[str, Any]) -> None:
        """Begin a run folder with a state from elsewhere, as its first checkpoint.

        Raises:
            CheckpointError: It does not fit.
        """
        self.carry_on(state)
        self._save()

    def carry_on(self, state: Mapping[str, Any]) -> None:
        """Take over the state of the phase before.

        Raises:
            CheckpointError: It does not fit.
        """
        self._state.load_dict(state)
        self._settle()

    def state_dict(self) -> dict[str, Any]:
        """Return the run's state."""
        return self._state.to_dict()

    def train(self) -> TrainResult:
        """Train until the last step, or until SIGTERM or SIGINT, which saves and stops.

        Raises:
            TrainingDivergedError: The loss is not finite or has run away; the batch is saved.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._signals())
            records = None
            if self._world.is_main:
                records = stack.enter_context(
                    Records(
                        self._folder,
                        steps=self._run.span.total_steps,
                        first_step=self._state.step,
                        tensorboard=self._config.log.tensorboard,
                    )
                )
            return self._loop(records)

    def _loop(self, records: Records | None) -> TrainResult:
        last = self._run.span.last_step
        steps = self._run.load_steps(self._state.step, last)
        while self._state.step < last:
            values = self.step(next(steps))
            step = self._state.step
            if records is not None:
                self._folder.append_losses(values)
                is_point = step % self._config.log.every_steps == 0
                records.step(step, values, to_tensorboard=is_point)
            stop, late = self._agree()
            every = self._config.validation.every_steps
            scored = None
            if self._validator is not None and (step % every == 0 or step == last):
                scored = self._validate(records)
            due = self._config.checkpoint.every_steps
            if scored is not None or stop or late or step == last or (due and step % due == 0):
                self._save()
            if scored is not None:
                self._note_best(scored)
            if stop and step < last:
                logger.info("stopped by a signal after step %d; --resume continues", step)
                return TrainResult(step, is_finished=False)
        return TrainResult(last, is_finished=True)

    def step(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Do one step on this device's micro-batches.

        Returns:
            Step, losses, norms of gradients and learning rate.

        Raises:
            TrainingDivergedError: See :meth:`train`; the weights are those before the step.
        """
        config, state = self._config, self._state
        batches = [batch.to(self._world.device) for batch in batches]
        span = self._run.span
        rate = learning_rate(config.optimiser, state.step - span.first_step, config.steps)
        optimisers = [o for o in (state.optimiser, state.discriminator_optimiser) if o is not None]
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        values = self._gradients.run(batches, state.step)
        values["grad_norm"] = self._clip(state.model, config.optimiser.clip_norm)
        if state.discriminator is not None:
            values["d_grad_norm"] = self._clip(state.discriminator, config.optimiser.clip_norm)
        fault = state.guard.fault(values)
        if fault is not None:
            self._fail(fault, batches)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        for optimiser in optimisers:
            optimiser.step()
        if state.average is not None:
            state.average.update(state.model)
        state.step += 1
        every = config.checkpoint.round_every
        if every and state.step % every == 0:
            round_state(state)
        return {"step": state.step, **values, "lr": rate}

    def _settle(self) -> None:
        """Give the optimiser this phase's settings back, which a loaded state replaced."""
        wanted = self._config.optimiser
        for group in self._state.optimiser.param_groups:
            group["betas"], group["weight_decay"] = tuple(wanted.betas), wanted.weight_decay

    def _clip(self, module: torch.nn.Module, limit: float) -> float:
        """Scale gradients down to a norm; return the norm that they had."""
        trained = [p for p in module.parameters() if p.grad is not None]
        return float(torch.nn.utils.clip_grad_norm_(trained, limit or float("inf")))

    def _fail(self, fault: str, batches: Sequence[Batch]) -> None:
        step = self._state.step + 1
        path = self._folder.path / "diverged" / f"step_{step:08d}_rank_{self._world.rank}.pt"
        keys = save_batches(path, batches, step)
        raise TrainingDivergedError(
            f"step {step}: {fault}; the batch is in {path}, its objects are {', '.join(keys)}"
        )

    def _agree(self) -> tuple[bool, bool]:
        """Return whether any process was asked to stop, and whether a save by time is due."""
        minutes = self._config.checkpoint.every_minutes
        late = self._world.is_main and minutes > 0
        late = late and time.monotonic() - self._last_save >= 60.0 * minutes
        flags = torch.tensor([self._stop_requested, late], device=self._world.device)
        stop, due = self._world.sum(flags.float()).tolist()
        return stop > 0, due > 0

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the averaged weights in place, where there are any."""
        if self._state.average is None:
            yield
            return
        with self._state.average.applied(self._state.model):
            yield

    def _validate(self, records: Records | None) -> float | None:
        if self._validator is None:
            return None
        with self._averaged():
            validation: Validation = self._validator.run(self._state.model)
        score = validation.score(self._config.validation.best_by)
        if records is not None:
            step = self._state.step
            self._folder.append_validation({"step": step, "score": score, **validation.values})
            records.validation(step, validation, self._config.validation.pictures)
        return score

    def _save(self) -> None:
        """Write a checkpoint; the main process does, the others wait."""
        self._last_save = time.monotonic()
        if self._world.is_main:
            state = self._state
            about: dict[str, Any] = {
                "step": state.step,
                "seed": self._config.seed,
                "commit": git_commit(),
                "averaged": state.average is not None,
                "config": config_to_dict(self._config),
            }

            def save_adapters(path: Path) -> None:
                with self._averaged():
                    save_checkpoint(path, state.model, state.base, training=about)

            self._checkpoints.save(state.step, state.to_dict(), save_adapters)
        self._world.barrier()

    def _note_best(self, score: float) -> None:
        best = self._checkpoints.best()
        if self._world.is_main and (best is None or score > best.score):
            self._checkpoints.set_best(Best(self._state.step, score))

    def _recover_best(self) -> None:
        """Name the best checkpoint if a kill came between its validation and that."""
        kept = set(self._checkpoints.steps())
        for record in self._folder.validations():
            best = self._checkpoints.best()
            if record["step"] in kept and (best is None or record["score"] > best.score):
                self._checkpoints.set_best(Best(record["step"], record["score"]))

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn SIGTERM and SIGINT into a request to stop after the current step."""

        def request(number: int, frame: FrameType | None) -> None:
            self._stop_requested = True
            logger.info("%s: stopping after this step", signal.Signals(number).name)

        previous = {s: signal.signal(s, request) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
