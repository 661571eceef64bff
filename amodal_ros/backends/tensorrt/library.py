# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's two libraries with one interface: `tensorrt` and TensorRT for RTX (`tensorrt_rtx`)."""

from __future__ import annotations

import importlib
import logging
import re
from dataclasses import dataclass
from typing import Any

from amodal_ros.errors import BackendError, InvalidInputError

logger = logging.getLogger(__name__)

FLAVORS = ("tensorrt", "tensorrt_rtx")
_INSTALL = {
    "tensorrt": "it comes with JetPack, or with: pip install tensorrt (from NVIDIA's index)",
    "tensorrt_rtx": "pip install tensorrt-rtx-cu12",
}
_FIRST_TYPED = (10, 3)
_CONSTRAINED = (8, 6)


@dataclass(frozen=True, eq=False)
class TensorRtLibrary:
    """An imported library."""

    flavor: str
    module: Any
    version: str

    @property
    def strongly_typed(self) -> bool:
        """Whether engines take their types from the ONNX graph; else by precision constraints."""
        return self.flavor == "tensorrt_rtx" or _numbers(self.version) >= _FIRST_TYPED

    def logger(self) -> Any:
        """A logger of TensorRT's that writes into Python's."""
        return _make_logger(self.module)


def load_library(flavor: str) -> TensorRtLibrary:
    """Imports a flavor of TensorRT and checks its version.

    Raises:
        InvalidInputError: for an unknown flavor.
        BackendError: when it is missing or too old.
    """
    if flavor not in FLAVORS:
        raise InvalidInputError(f"flavor: expected one of {FLAVORS}, got {flavor!r}")
    try:
        module = importlib.import_module(flavor)
    except ImportError as error:
        raise BackendError(
            f"{flavor} cannot be imported ({error}); install it: {_INSTALL[flavor]}"
        ) from error
    version = str(module.__version__)
    if flavor == "tensorrt":
        check_version(version)
    return TensorRtLibrary(flavor, module, version)


def check_version(version: str) -> None:
    """Checks a version of `tensorrt`.

    Raises:
        BackendError: for one that is not supported.
    """
    numbers = _numbers(version)
    if numbers >= _FIRST_TYPED or numbers == _CONSTRAINED:
        return
    if numbers < _CONSTRAINED:
        raise BackendError(
            f"TensorRT {version}, as JetPack 5 and older have it, is not supported: expected"
            " TensorRT 10.3 (JetPack 6.1) or newer; 8.6 (JetPack 6.0) is accepted, untested"
        )
    raise BackendError(f"TensorRT {version}: expected 10.3 or newer, or 8.6")


def _numbers(version: str) -> tuple[int, int]:
    """Major and minor version."""
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None:
        raise BackendError(f"TensorRT's version: expected numbers, got {version!r}")
    return int(found[1]), int(found[2])


def _make_logger(module: Any) -> Any:
    """TensorRT's messages in Python's logging; its information is detail here."""
    levels = {
        module.ILogger.Severity.INTERNAL_ERROR: logging.CRITICAL,
        module.ILogger.Severity.ERROR: logging.ERROR,
        module.ILogger.Severity.WARNING: logging.WARNING,
        module.ILogger.Severity.INFO: logging.DEBUG,
        module.ILogger.Severity.VERBOSE: logging.NOTSET,
    }

    class PythonLogger(module.ILogger):
        """Hands TensorRT's messages on and keeps the errors for ours."""

        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            level = levels[severity]
            if level >= logging.ERROR:
                self.errors.append(message)
            elif level > logging.NOTSET:
                logger.log(level, "%s", message)

    return PythonLogger()
