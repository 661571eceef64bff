# SPDX-License-Identifier: Apache-2.0
"""Rows of a tensor that lie in several places, joined where they are needed and no earlier.

What an engine computed in several calls may lie on a GPU. There the next graph takes it as it is:
joined by numpy it would be copied to the host and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Rows = Any  # an array, or what an engine gives in its place: a tensor on the GPU


class RowRuns:
    """Some tensors that differ in their number of rows alone, one after another.

    Args:
        parts: at least one, of equal dtype and row shape.
    """

    def __init__(self, parts: Sequence[Rows]) -> None:
        runs = [part.parts if isinstance(part, RowRuns) else (part,) for part in parts]
        self.parts: tuple[Rows, ...] = tuple(part for run in runs for part in run)
        self.dtype: np.dtype[Any] = self.parts[0].dtype
        self.shape: tuple[int, ...] = (sum(map(len, self.parts)), *self.parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Rows:
        """A run of rows stays where it lies, in one part or several; else it becomes an array."""
        if not isinstance(key, slice) or key.indices(len(self))[2] != 1:
            return np.asarray(self)[key]
        start, stop, _ = key.indices(len(self))
        found, first = [], 0
        for part in self.parts:
            low, high = max(start - first, 0), min(stop - first, len(part))
            if low < high:
                found.append(part[low:high])
            first += len(part)
        if not found:
            return np.asarray(self)[key]
        return found[0] if len(found) == 1 else RowRuns(found)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Joins them on the host."""
        if copy is False:
            raise ValueError("rows of several places cannot become an array without a copy")
        values = np.concatenate([np.asarray(part) for part in self.parts])
        return values if dtype is None else values.astype(dtype, copy=False)


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows one after another: a single part as it is, arrays as an array, others as `RowRuns`."""
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return RowRuns(parts)
