# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table of names, defaults, ranges and descriptions, without ROS.

``parameter_declaration`` makes ROS parameters of it; ``config/perception.yaml`` and
``docs/node.md`` repeat it, and a test compares the three.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from amodal_ros.errors import InvalidInputError

ParameterValue = bool | int | float | str


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter; its type is that of ``default``."""

    name: str
    default: ParameterValue
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def validated(self, value: object) -> ParameterValue:
        """Return ``value`` as this parameter's type (a whole number may stand for a float).

        Raises:
            InvalidInputError: if type, range or choice is wrong.
        """
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise self._error(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(value)
        if isinstance(value, (int, float)) and not self._in_range(value):
            raise self._error(value)
        if self.choices and value not in self.choices:
            raise self._error(value)
        return value

    @property
    def expected(self) -> str:
        """What values are taken, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        words = kind[type(self.default)]
        if self.minimum is None or self.maximum is None:
            return words
        return f"{words} from {self.minimum:g} to {self.maximum:g}"

    def _in_range(self, value: float) -> bool:
        return (
            self.minimum is None or self.maximum is None or (self.minimum <= value <= self.maximum)
        )

    def _error(self, value: object) -> InvalidInputError:
        return InvalidInputError(
            f"parameter {self.name} is {value!r} ({type(value).__name__}), "
            f"expected {self.expected}"
        )


def _parameter(
    default: ParameterValue,
    description: str,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    details = {
        "default": default,
        "description": description,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
    }
    return field(default=default, metadata=details)


@dataclass(frozen=True)
class PerceptionParameters:
    """Values of all parameters of the perception node, valid by construction."""

    model_dir: str = _parameter(
        "", "Folder of the model (manifest.json and its graphs); empty: the one that comes along"
    )
    backend: str = _parameter(
        "onnxruntime", "Engine that runs the model's graphs", choices=("onnxruntime",)
    )
    execution_provider: str = _parameter(
        "CPUExecutionProvider",
        "ONNX Runtime's execution provider; one that is not there refuses to start",
        choices=("CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"),
    )
    threads: int = _parameter(0, "Threads of the engine; 0: one for each core", 0, 256)
    image_topic: str = _parameter("camera/image_raw", "Topic of the camera's images")
    detections_topic: str = _parameter(
        "detections", "Topic of the boxes; their stamps are those of the images"
    )
    image_reliability: str = _parameter(
        "best_effort",
        "Reliability asked of the image publisher; best_effort takes every publisher",
        choices=("best_effort", "reliable"),
    )
    slop: float = _parameter(
        0.0,
        "Largest difference in seconds of an image's and its boxes' stamps; 0: equal",
        0.0,
        1.0,
    )
    sync_queue_size: int = _parameter(
        10, "Images, and box messages, that wait for their partner", 1, 200
    )
    sync_timeout: float = _parameter(
        2.0, "Seconds after which boxes that found no image are given up", 0.05, 60.0
    )
    min_score: float = _parameter(0.0, "Boxes with a lower score are ignored", 0.0, 1.0)
    max_objects: int = _parameter(
        16, "Most objects of one image, the best scores first; more are counted", 1, 256
    )
    max_coast: float = _parameter(
        1.0,
        "Seconds that a track lives without a detection; 0: not at all, -1: for ever",
        -1.0,
        3600.0,
    )
    prior_dilation: float = _parameter(
        0.1,
        "Growth of a track's last amodal mask before it guides the next one, relative to the "
        "square root of its area",
        0.0,
        1.0,
    )
    match_iou: float = _parameter(
        0.3,
        "Smallest overlap of a box with a track's last box that continues the track",
        0.01,
        1.0,
    )
    autostart: bool = _parameter(
        True, "Configure and activate by itself; false: wait for lifecycle transitions"
    )

    def __post_init__(self) -> None:
        for spec in PARAMETERS:
            object.__setattr__(self, spec.name, spec.validated(getattr(self, spec.name)))
        for name in ("image_topic", "detections_topic"):
            if not getattr(self, name):
                raise InvalidInputError(f"parameter {name} is '', expected the name of a topic")

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> PerceptionParameters:
        """Build from names and values; what is not named has its default.

        Raises:
            InvalidInputError: if a name is unknown or a value is wrong.
        """
        known = [spec.name for spec in PARAMETERS]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise InvalidInputError(
                f"unknown parameter {', '.join(unknown)}, expected some of {', '.join(known)}"
            )
        return cls(**values)  # type: ignore[arg-type]


PARAMETERS: tuple[ParameterSpec, ...] = tuple(
    ParameterSpec(name=entry.name, **entry.metadata) for entry in fields(PerceptionParameters)
)
