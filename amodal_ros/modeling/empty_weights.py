# SPDX-License-Identifier: Apache-2.0
"""Models without memory for their weights: for layouts and costs of the largest members."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _RealSchedules(TorchFunctionMode):
    """Hiera and TinyViT read drop-path rates off a ``linspace`` while they are built."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs["device"] = "cpu"
        return func(*args, **kwargs)


@contextmanager
def empty_weights() -> Iterator[None]:
    """Build models on the ``meta`` device while the context lasts: shapes without values."""
    with torch.device("meta"), _RealSchedules():
        yield
