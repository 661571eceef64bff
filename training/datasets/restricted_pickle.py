# SPDX-License-Identifier: Apache-2.0
"""Unpickling files from outside: builtin containers and numpy arrays, nothing that can act."""

from __future__ import annotations

import collections
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.datasets.sample import DatasetError

_NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC_MODULES = ("numpy.core.numeric", "numpy._core.numeric")


def load_restricted(file: Path) -> Any:
    """Unpickle `file`, refusing every class and function but those that merely hold data.

    Raises:
        DatasetError: the file is damaged, or asks for something else, which is named.
    """
    try:
        with file.open("rb") as stream:
            return _RestrictedUnpickler(stream, encoding="latin1").load()
    except DatasetError as error:
        raise DatasetError(f"{file}: {error}") from error
    except (
        pickle.UnpicklingError,
        EOFError,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        ImportError,
        MemoryError,
    ) as error:
        raise DatasetError(f"{file}: is not a readable pickle: {error}") from error


class _RestrictedUnpickler(pickle.Unpickler):
    """Knows a fixed list of names; none of them is looked up in a module."""

    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name))
        if found is None:
            raise DatasetError(
                f"the pickle asks for {module}.{name}; only builtin containers and numpy arrays "
                "are allowed in it"
            )
        return found


def _array_shell(subtype: type, shape: Sequence[int], typecode: Any) -> np.ndarray:
    """An empty array, filled by the pickle's state afterwards."""
    if subtype is not np.ndarray:
        raise DatasetError(f"the pickle asks for the array type {subtype!r}")
    return np.ndarray(tuple(shape), dtype=typecode)


def _array_from_buffer(
    buffer: Any, dtype: np.dtype, shape: Sequence[int], order: str, axis_order: Any = None
) -> np.ndarray:
    """Protocol 5's arrays; a copy, so that nothing writes to the pickle's memory."""
    array = np.frombuffer(buffer, dtype=dtype)
    if order == "K" and axis_order is not None:
        return array.reshape(shape).transpose(axis_order).copy()
    return array.reshape(shape, order="F" if order == "F" else "C").copy()


def _scalar(dtype: np.dtype, data: bytes | str) -> Any:
    """A numpy number. numpy's own function would unpickle objects once more, unrestricted."""
    if dtype.hasobject:
        raise DatasetError("the pickle asks for a numpy scalar that holds an object")
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, dtype=dtype)[0]


def _bytes_of(text: str, encoding: str) -> bytes:
    """How protocols 0 to 2 write bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise DatasetError(f"the pickle asks for the codec {encoding!r}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    return b""


_BUILTINS: dict[str, Callable[..., Any]] = {
    "set": set,
    "frozenset": frozenset,
    "bytearray": bytearray,
    "complex": complex,
    "bytes": _empty_bytes,
}
_ALLOWED: dict[tuple[str, str], Any] = {
    **{(m, n): v for m in ("builtins", "__builtin__") for n, v in _BUILTINS.items()},
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("_codecs", "encode"): _bytes_of,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(m, "_reconstruct"): _array_shell for m in _NUMPY_MODULES},
    **{(m, "scalar"): _scalar for m in _NUMPY_MODULES},
    **{(m, "_frombuffer"): _array_from_buffer for m in _NUMERIC_MODULES},
}
