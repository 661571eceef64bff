# SPDX-License-Identifier: Apache-2.0
"""The model as one frame uses it: its picture is encoded once, ahead or when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from amodal_ros.ros.node.model_host import ModelHost, Predictor
from amodal_ros.tracking.asking import ask
from amodal_ros.tracking.plan import TrackPlan
from amodal_ros.types import AmodalPrediction, ImageFeatures


class FrameModel:
    """Encodes and asks; the model that encoded stays open until `close`.

    Args:
        host: lends the model.
        rgb: (H, W, 3) uint8, the frame's picture.
    """

    def __init__(self, host: ModelHost, rgb: np.ndarray) -> None:
        self._host = host
        self._rgb = rgb
        self._lent = ExitStack()
        self._encoded: tuple[Predictor, ImageFeatures] | None = None

    def encoded(self) -> tuple[Predictor, ImageFeatures]:
        """What encoded the picture, and what came of it.

        Raises:
            AmodalError: if there is no model, or the engine fails.
        """
        if self._encoded is None:
            with ExitStack() as stack:
                predictor = stack.enter_context(self._host.lend())
                self._encoded = predictor, predictor.encode(self._rgb)
                self._lent = stack.pop_all()
        return self._encoded

    @property
    def encoded_ms(self) -> Mapping[str, float]:
        """What encoding took, by part; empty: the picture has not been encoded."""
        return {} if self._encoded is None else self._encoded[1].timings_ms

    def look(self, part: TrackPlan) -> AmodalPrediction:
        """Asks for some objects, in a thread that may outlast the frame and its model.

        Raises:
            AmodalError: if there is no model, or the engine fails.
        """
        with self._host.lend() as predictor:
            if self._encoded is None or predictor is not self._encoded[0]:
                self._encoded = predictor, predictor.encode(self._rgb)
            features = self._encoded[1]
            found = ask(predictor, features, part)
        return replace(found, timings_ms={**features.timings_ms, **found.timings_ms})

    def close(self) -> None:
        """Gives back the model that encoded."""
        self._lent.close()
