# SPDX-License-Identifier: Apache-2.0
"""The contestants, and how the clip is played to each: in real time or on virtual time."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.loading import EngineOptions, load_predictor
from benchmarks.streaming.clip import Mosaic
from benchmarks.streaming.played import Played, offline
from benchmarks.streaming.report import AHEAD, OFFLINE
from benchmarks.streaming.virtual import (
    RealModel,
    TrueModel,
    VirtualBase,
    VirtualNode,
    play_virtually,
)
from export.benchmarking.contestants import Contestant, Entry, open_contestant

# The node's parameters by contestant.
NODES: Mapping[str, Mapping[str, float]] = {
    "budget": {"frame_budget": -1.0},
    AHEAD: {"frame_budget": -1.0},
    "no budget": {"frame_budget": 0.0},
    "two objects": {"frame_budget": 0.0, "max_objects": 2},
}
BASE = "base SAM"
_MOST_OBJECTS = 64

Player = Callable[[float], Played]  # at a rate in Hz


class Players:
    """Opens what is asked for, and the model once."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._predictor: AmodalPredictor | None = None

    @contextmanager
    def player(self, name: str, mosaic: Mosaic) -> Iterator[Player]:
        """Plays the clip to a contestant, which is there as long as the context is."""
        options = self._options
        if name == OFFLINE:
            predictor = self._loaded()
            yield lambda _: offline(mosaic, predictor, options.seconds, options.stride)
        elif name == BASE:
            with closing(_base_model(options.base, options.threads)) as base:
                yield self._to_base(base, mosaic)
        elif options.virtual is not None:
            yield self._to_virtual_node(name, mosaic)
        else:
            self.close()  # the node has the machine for itself
            from benchmarks.streaming.play import NodePlayer

            parameters: dict[str, object] = {"threads": options.threads, **NODES[name]}
            if options.model is not None:
                parameters["model_dir"] = str(options.model)
            topic = "amodal/masks_ahead" if name == AHEAD else "amodal/masks"
            with closing(NodePlayer(mosaic, parameters, topic)) as node:
                yield lambda rate_hz: node.play(rate_hz, options.seconds)

    def close(self) -> None:
        """Frees the engine of the model."""
        if self._predictor is not None:
            self._predictor.close()
            self._predictor = None

    def _loaded(self) -> AmodalPredictor:
        if self._predictor is None:
            options = self._options
            self._predictor = load_predictor(options.model, EngineOptions(threads=options.threads))
        return self._predictor

    def _to_base(self, base: Contestant, mosaic: Mosaic) -> Player:
        options = self._options
        if options.virtual is None:
            from benchmarks.streaming.play import play_to_contestant

            return lambda rate_hz: play_to_contestant(mosaic, base, rate_hz, options.seconds)
        return lambda rate_hz: play_virtually(
            mosaic, VirtualBase(mosaic, base, *options.base_seconds), rate_hz, options.seconds
        )

    def _to_virtual_node(self, name: str, mosaic: Mosaic) -> Player:
        options, parameters = self._options, NODES[name]
        model = TrueModel(mosaic) if options.truth else RealModel(self._loaded())
        if options.virtual_small and not options.truth and not self._loaded().looks_small:
            raise InvalidInputError("--virtual-small: the model has no graphs of a smaller size")
        most = int(parameters.get("max_objects", _MOST_OBJECTS))

        def play(rate_hz: float) -> Played:
            budget_s = 1 / rate_hz if parameters["frame_budget"] < 0 else 0.0
            node = VirtualNode(
                *(mosaic, model, options.virtual, options.virtual_small),
                *(options.own, budget_s, most),
                ahead_s=1 / rate_hz if name == AHEAD else 0.0,
            )
            return play_virtually(mosaic, node, rate_hz, options.seconds)

        return play


def _base_model(folder: Path, threads: int) -> Contestant:
    """The base model: its encoder once, and its decoder for each box, in ONNX Runtime."""
    entry = Entry("base", str(folder), "onnxruntime", "CPUExecutionProvider", threads)
    return open_contestant(entry)
