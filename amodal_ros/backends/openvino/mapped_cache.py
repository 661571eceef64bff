# SPDX-License-Identifier: Apache-2.0
"""Compiled graphs that are kept: their folder, and the pages of them that are read once.

OpenVINO maps a kept graph's file and reads weights in f32 from it, which it then packs as the
device needs them. It does not read them again, but the mapping lasts as long as the compiled
graph: with two sizes of the model 95 MB stay in memory beside what was packed from them.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from pathlib import Path

logger = logging.getLogger(__name__)

_MAPS = Path("/proc/self/maps")
_SUFFIX = ".blob"
_DONT_NEED = 4  # MADV_DONTNEED of Linux


def usable_cache(folder: Path | None) -> Path | None:
    """The folder of kept graphs, made where it is missing; None: it cannot be written.

    Args:
        folder: asked for; None: one of the user's cache.
    """
    if folder is None:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = Path(base).expanduser() / "amodal_ros" / "openvino"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logger.warning("%s: %s: nothing compiled is kept for the next start", folder, error)
        return None
    if not os.access(folder, os.W_OK):
        logger.warning("%s cannot be written: nothing compiled is kept for the next start", folder)
        return None
    return folder


def forget_pages(cache_dir: Path) -> int:
    """Gives back the memory of this process's mappings of kept graphs; how many there are.

    Pages that are read again come from the file again. Only mappings that cannot be written to
    are touched: nothing can be lost. On other systems than Linux there is nothing to do.
    """
    if sys.platform != "linux":
        return 0
    folder = f"{os.path.realpath(cache_dir)}/"
    places = [
        place
        for line in _MAPS.read_text(encoding="utf-8", errors="replace").splitlines()
        if (place := _read_only_place(line, folder)) is not None
    ]
    for start, stop in places:
        _advise(start, stop - start)
    return len(places)


def _read_only_place(line: str, folder: str) -> tuple[int, int] | None:
    """Addresses of a mapping, as a line of `maps` names it; None: it is no kept graph."""
    addresses, rights, _, _, _, *path = line.split(maxsplit=5)
    if not path or not path[0].startswith(folder) or not path[0].endswith(_SUFFIX):
        return None
    if not rights.startswith("r--"):
        return None
    start, stop = (int(address, 16) for address in addresses.split("-"))
    return start, stop


def _advise(start: int, length: int) -> None:
    """Tells the kernel; a refusal costs memory and nothing else."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if libc.madvise(start, length, _DONT_NEED):
        error = os.strerror(ctypes.get_errno())
        logger.info("pages of a kept graph stay in memory: %s", error)
