# SPDX-License-Identifier: Apache-2.0
"""Visible and amodal instance masks for robots.

>>> from amodal_ros import load_predictor  # doctest: +SKIP
>>> predictor = load_predictor()  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amodal_ros.errors import AmodalError as AmodalError
    from amodal_ros.inference.predictor import AmodalPredictor as AmodalPredictor
    from amodal_ros.loading import EngineOptions as EngineOptions
    from amodal_ros.loading import load_predictor as load_predictor
    from amodal_ros.tracking.settings import TrackerConfig as TrackerConfig
    from amodal_ros.tracking.tracker import AmodalTracker as AmodalTracker
    from amodal_ros.tracking.types import TrackedObject as TrackedObject
    from amodal_ros.types import AmodalPrediction as AmodalPrediction
    from amodal_ros.types import Detections as Detections
    from amodal_ros.types import ImageFeatures as ImageFeatures
    from amodal_ros.types import PointPrompt as PointPrompt

__version__ = "0.1.0"

# Where the public names are: they are imported when they are used, so that a part of the package
# costs no more than itself.
_HOMES = {
    "AmodalError": "errors",
    "AmodalPrediction": "types",
    "AmodalPredictor": "inference.predictor",
    "AmodalTracker": "tracking.tracker",
    "Detections": "types",
    "EngineOptions": "loading",
    "ImageFeatures": "types",
    "PointPrompt": "types",
    "TrackedObject": "tracking.types",
    "TrackerConfig": "tracking.settings",
    "load_predictor": "loading",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
