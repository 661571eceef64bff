# SPDX-License-Identifier: Apache-2.0
"""Holds the model that all cameras and services of a node share, and exchanges it while they run.

The old model serves until the new one is warm. It is freed when the last frame that uses it ends.
An engine that fails on one frame after the other is given up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from amodal_ros.errors import AmodalError, BackendError
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.watch.faults import Fault, FaultLog
from amodal_ros.tracking.asking import Asked
from amodal_ros.tracking.tracker import AmodalTracker
from amodal_ros.types import AmodalPrediction, Detections, ImageFeatures, PointPrompt

# A camera at 30 Hz reaches the number in a fifth of a second, which a moment of full memory may
# last; a slow one needs more than the time for the number.
FAILURES_IN_A_ROW = 5
FAILING_FOR_S = 2.0


class Predictor(Asked, Protocol):
    """What the node needs of ``amodal_ros.inference.predictor.AmodalPredictor``."""

    @property
    def encodes_ahead(self) -> bool:
        """Whether an image is best encoded while the objects of the one before are predicted."""

    def encode(self, image_rgb: np.ndarray) -> ImageFeatures:
        """Encode an image once."""

    def predict(
        self,
        features: ImageFeatures,
        boxes_xyxy: np.ndarray | None = None,
        prior_masks: Sequence[CroppedMask | None] | None = None,
        *,
        points: Sequence[PointPrompt | None] | None = None,
        small: np.ndarray | None = None,
        tight: np.ndarray | None = None,
    ) -> AmodalPrediction:
        """Masks of N objects."""

    def warm_up(self) -> None:
        """Run the whole model once."""

    def interrupt(self) -> None:
        """Let the engine leave the work that it is at; thread-safe, returns at once."""

    def close(self) -> None:
        """Free the engine."""


# Told of a model that was asked for: it serves (None), or why it cannot be used.
Exchanged = Callable[[PerceptionParameters, Exception | None], None]


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
        on_broken: told in a worker's thread that the engine was given up.
    """

    def __init__(
        self,
        make_predictor: Callable[[PerceptionParameters], Predictor],
        on_broken: Callable[[], object],
    ) -> None:
        self._make_predictor = make_predictor
        self._on_broken = on_broken
        self._on_exchanged: Exchanged = lambda parameters, error: None
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

    def health(self, faults: FaultLog) -> EngineHealth:
        """What counts the engine's failures on a camera's frames, from an activation on."""
        faults.clear_alarm(Fault.ENGINE_GAVE_UP)
        return EngineHealth(faults, self._on_broken)

    def exchange(self, parameters: PerceptionParameters, on_exchanged: Exchanged) -> None:
        """Load another model in a thread and let it serve once it is warm.

        A wish that comes while one is being loaded takes the place of the one before.

        Args:
            parameters: name the model.
            on_exchanged: told in the loading thread.
        """
        with self._lock:
            self._wanted, self._on_exchanged = parameters, on_exchanged
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
                self._on_exchanged(wanted, error)
                continue
            if self._take_over(predictor, wanted):
                self._on_exchanged(wanted, None)

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


class EngineHealth:
    """Counts frames that the engine lost; after too many in a row it gives up, once.

    Thread-safe: the worker tells, the node's executor asks.
    """

    def __init__(self, faults: FaultLog, on_broken: Callable[[], object]) -> None:
        self._faults = faults
        self._on_broken = on_broken
        self._lock = threading.Lock()
        self._failures = 0
        self._since_s = 0.0
        self._broken = False

    def answered(self) -> None:
        """A frame was answered."""
        with self._lock:
            self._failures = 0

    def failed(self, error: Exception) -> None:
        """A frame was lost by an error."""
        cause = f"{type(error).__name__}: {error}"
        self._faults.report(Fault.ENGINE, f"frame lost: {cause}")
        with self._lock:
            now_s = time.monotonic()
            if self._failures == 0:
                self._since_s = now_s
            self._failures += 1
            failing_for_s = now_s - self._since_s
            enough = self._failures >= FAILURES_IN_A_ROW and failing_for_s >= FAILING_FOR_S
            if self._broken or not enough:
                return
            self._broken = True
        self._faults.alarm(
            Fault.ENGINE_GAVE_UP,
            f"the engine failed on {self._failures} frames in a row within {failing_for_s:.1f} s, "
            f"last: {cause}. The node becomes inactive; activate it to try again, or clean it up "
            "and configure it to load the model anew",
        )
        self._on_broken()


def warm_up(predictor: Predictor) -> None:
    """Run the model and a tracker once, so that no frame pays for what is made on first use.

    Raises:
        AmodalError: if the engine fails.
    """
    predictor.warm_up()
    tracker, image_hw = AmodalTracker(), (64, 64)
    picture = np.full((*image_hw, 3), 127, np.uint8)
    picture[::8, ::8] = 255  # corners, whose motion is followed
    mask = np.zeros((1, *image_hw), bool)
    mask[:, 16:48, 16:48] = True
    prediction = AmodalPrediction.from_masks(mask, mask, np.ones(1, np.float32))
    for stamp_s in (1.0, 2.0):  # the second one continues a track
        found = Detections.from_boxes([[16.0, 16.0, 48.0, 48.0]])
        tracker.update(tracker.plan(found, stamp_s, image_hw, picture), prediction)
