# SPDX-License-Identifier: Apache-2.0
"""MuJoCo, imported so that PyTorch can still be used in the same process.

MuJoCo 4.0 shows the process symbols of libraries that are built into it. What is loaded after it
and brings its own copy of them uses MuJoCo's: PyTorch's compiler (triton), which the first
optimizer loads, then dies of a segmentation fault, and `backports.zstd` refuses ("zstd version is
too old"). Loaded before MuJoCo both keep their own. So every module here imports MuJoCo from this
one.
"""

from __future__ import annotations

import importlib
from contextlib import suppress

for _name in ("triton._C.libtriton", "backports.zstd"):
    with suppress(ImportError):  # neither is needed here
        importlib.import_module(_name)

import mujoco  # noqa: E402

__all__ = ["mujoco"]
