# SPDX-License-Identifier: Apache-2.0
"""Holds the model that all cameras and services of a node share, and exchanges it while they run.

The old model serves until the new one is warm. It is freed when the last frame that uses it ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from amodal_ros.errors import AmodalError, BackendError
from amodal_ros.ros.node.frame_pipeline import Predictor, warm_up
from amodal_ros.ros.parameters.table import PerceptionParameters


@dataclass
class _Loaded:
    """A warm model; ``users`` frames and service calls run it at present."""

    predictor: Predictor
    parameters: PerceptionParameters
    users: int = 0
    retired: bool = False

    @property
    def to_close(self) -> bool:
        """Nobody runs it or will."""
        return self.retired and not self.users


class ModelHost:
    """Loads, lends and exchanges the model. Thread-safe.

    Args:
        make_predictor: loads the model that parameters name.
        on_exchanged: told in the loading thread that the model of these parameters now serves.
        on_failed: told in the loading thread that the model of these parameters cannot be used,
            and why.
    """

    def __init__(
        self,
        make_predictor: Callable[[PerceptionParameters], Predictor],
        on_exchanged: Callable[[PerceptionParameters], None],
        on_failed: Callable[[PerceptionParameters, Exception], None],
    ) -> None:
        self._make_predictor = make_predictor
        self._on_exchanged = on_exchanged
        self._on_failed = on_failed
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        self._wanted: PerceptionParameters | None = None
        self._loading = False

    @property
    def predictor(self) -> Predictor | None:
        """The model that serves at present, to look at; ``lend`` it to run it."""
        with self._lock:
            return None if self._loaded is None else self._loaded.predictor

    @property
    def serving(self) -> PerceptionParameters | None:
        """What the model that serves at present was loaded for."""
        with self._lock:
            return None if self._loaded is None else self._loaded.parameters

    @property
    def loading(self) -> bool:
        """Whether another model is being loaded."""
        return self._loading

    def load(self, parameters: PerceptionParameters) -> None:
        """Load and warm up the first model, in this thread.

        Raises:
            AmodalError: if it cannot be used.
        """
        predictor = self._warm(parameters)
        with self._lock:
            self._loaded = _Loaded(predictor, parameters)

    def exchange(self, parameters: PerceptionParameters) -> None:
        """Load another model in a thread and let it serve once it is warm.

        A wish that comes while one is being loaded takes the place of the one before.
        """
        with self._lock:
            self._wanted = parameters
            if self._loading or self._loaded is None:
                return
            self._loading = True
        threading.Thread(target=self._load_wanted, name="amodal_model", daemon=True).start()

    @contextmanager
    def lend(self) -> Iterator[Predictor]:
        """The model, for one frame or one service call; it stays open until the ``with`` ends.

        Raises:
            BackendError: if there is none.
        """
        with self._lock:
            loaded = self._loaded
            if loaded is None:
                raise BackendError("no model is loaded: the node is not configured")
            loaded.users += 1
        try:
            yield loaded.predictor
        finally:
            with self._lock:
                loaded.users -= 1
                to_close = loaded.to_close
            if to_close:
                loaded.predictor.close()

    def interrupt(self) -> None:
        """Let the model leave the work that it is at, for a process that must end."""
        with self._lock:
            if self._loaded is not None:
                self._loaded.predictor.interrupt()

    def close(self) -> None:
        """Free the model, after the last frame that uses it; one being loaded is given up."""
        with self._lock:
            self._wanted = None
            old = self._retire()
        if old is not None:
            old.close()

    def _load_wanted(self) -> None:
        while True:
            with self._lock:
                wanted, self._wanted = self._wanted, None
                if wanted is None:
                    self._loading = False
                    return
            try:
                predictor = self._warm(wanted)
            except Exception as error:  # whatever a model does, the one that serves goes on
                self._on_failed(wanted, error)
                continue
            if self._take_over(predictor, wanted):
                self._on_exchanged(wanted)

    def _take_over(self, predictor: Predictor, parameters: PerceptionParameters) -> bool:
        with self._lock:
            given_up = self._loaded is None or self._wanted is not None
            to_close: Predictor | None = predictor
            if not given_up:
                to_close = self._retire()
                self._loaded = _Loaded(predictor, parameters)
        if to_close is not None:
            to_close.close()
        return not given_up

    def _retire(self) -> Predictor | None:
        """Takes the model out of service, under the lock; returns it if nobody runs it.

        Closing can take long: not under the lock, which frames wait for.
        """
        loaded, self._loaded = self._loaded, None
        if loaded is None:
            return None
        loaded.retired = True
        return loaded.predictor if loaded.to_close else None

    def _warm(self, parameters: PerceptionParameters) -> Predictor:
        predictor = self._make_predictor(parameters)
        try:
            warm_up(predictor)
        except AmodalError:
            predictor.close()
            raise
        return predictor
