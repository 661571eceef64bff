# SPDX-License-Identifier: Apache-2.0
"""The errors this package raises. Each message says what came and what was expected."""

from __future__ import annotations


class AmodalError(Exception):
    """Base of every error raised on purpose by this package."""


class InvalidInputError(AmodalError, ValueError):
    """An argument has the wrong type, shape, range or content."""


class ManifestError(AmodalError):
    """A model folder is incomplete, altered, or described by a manifest that cannot be used."""


class BackendError(AmodalError, RuntimeError):
    """An inference engine cannot be loaded, does not match its manifest, or failed."""


class CheckpointError(AmodalError):
    """A checkpoint is unreadable, incomplete, or belongs to another model."""


class RefusedEngineError(BackendError):
    """An inference engine runs, but its masks are wrong."""
