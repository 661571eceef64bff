# SPDX-License-Identifier: Apache-2.0
"""One parameter of the table: default, description, range, and when a change takes effect."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from amodal_ros.errors import InvalidInputError

ParameterValue = bool | int | float | str


class Effect(str, Enum):
    """When a change takes effect on a configured node; the value says it in words."""

    NEXT_FRAME = "next frame"
    RECONNECT = "at once, inputs reconnect"
    MODEL = "once the new model is warm"
    CONFIGURE = "next configure"


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter; its type is that of ``default``."""

    name: str
    default: ParameterValue
    description: str
    effect: Effect
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


def parameter(
    default: ParameterValue,
    effect: Effect,
    description: str,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field with everything that its ``ParameterSpec`` needs."""
    details = (default, description, effect, minimum, maximum, choices)
    return field(default=default, metadata={"spec": details})
