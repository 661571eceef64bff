# SPDX-License-Identifier: Apache-2.0
"""Work arrays that are kept: the system takes longer to hand out memory than filling it takes."""

from __future__ import annotations

import math
import threading

import numpy as np


class Scratch(threading.local):
    """Arrays of a thread by name; each holds what was written last."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def part(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """(...) float32 of an array, which grows where it is too small; its content is any."""
        size = math.prod(shape)
        known = self._arrays.get(name)
        if known is None or known.size < size:
            known = self._arrays[name] = np.empty(size, np.float32)
        return known[:size].reshape(shape)
