# SPDX-License-Identifier: Apache-2.0
"""Tensors that stay on the GPU between graphs: the next graph reads them where they lie."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np

from amodal_ros.backends.tensorrt.cuda import CudaPython
from amodal_ros.errors import BackendError


class BufferPool:
    """Device buffers of one size, used again when the tensors in them are gone."""

    def __init__(self, cuda: CudaPython, size: int) -> None:
        self._cuda, self._size = cuda, size
        self._lock = Lock()
        self._free: list[int] = []
        self._all: list[int] = []
        self.closed = False

    def take(self) -> Lease:
        """A buffer that nothing alive lies in."""
        with self._lock:
            if not self._free:
                self._free.append(self._cuda.allocate(self._size))
                self._all.append(self._free[-1])
            return Lease(self, self._free.pop())

    def give_back(self, address: int) -> None:
        """The buffer can be used again."""
        with self._lock:
            if not self.closed:
                self._free.append(address)

    def close(self) -> None:
        """Frees all buffers; tensors in them can no longer be read."""
        with self._lock:
            self.closed = True
            for address in self._all:
                self._cuda.free(address)
            self._all.clear()
            self._free.clear()


class Lease:
    """Keeps a buffer from being used again for as long as a tensor refers to it."""

    def __init__(self, pool: BufferPool, address: int) -> None:
        self._pool, self._address = pool, address
        weakref.finalize(self, pool.give_back, address)

    @property
    def address(self) -> int:
        """Of the buffer.

        Raises:
            BackendError: when the engine has been closed.
        """
        if self._pool.closed:
            raise BackendError("the engine that computed this tensor has been closed")
        return self._address


class DeviceTensor:
    """An output that lies on the GPU; numpy functions copy it from there when they need it.

    Args:
        lease: of the buffer.
        shape: of the tensor.
        dtype: of its elements.
        download: copies bytes from an address into an array.
        first_row: of the buffer's rows.
    """

    def __init__(
        self,
        lease: Lease,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        download: Callable[[np.ndarray, int], None],
        first_row: int = 0,
    ) -> None:
        self._lease, self._download, self._first_row = lease, download, first_row
        self.shape, self.dtype = shape, dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def address(self) -> int:
        """Of the first element."""
        return self._lease.address + self._first_row * self._row_bytes

    @property
    def nbytes(self) -> int:
        """Size of all elements."""
        return len(self) * self._row_bytes

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> DeviceTensor | np.ndarray:
        """A run of rows stays on the GPU; anything else is copied from there."""
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                rows = max(stop - start, 0)
                return DeviceTensor(
                    self._lease,
                    (rows, *self.shape[1:]),
                    self.dtype,
                    self._download,
                    self._first_row + start,
                )
        return np.asarray(np.asarray(self)[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Copies it from the GPU."""
        if copy is False:
            raise ValueError("a tensor on the GPU cannot become an array without a copy")
        values = np.empty(self.shape, self.dtype)
        if values.size:
            self._download(values, self.address)
        return values if dtype is None else values.astype(dtype, copy=False)

    @property
    def _row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
