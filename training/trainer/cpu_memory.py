# SPDX-License-Identifier: Apache-2.0
"""Makes glibc keep freed memory: a third of a CPU step would go into getting it anew."""

from __future__ import annotations

import ctypes
import logging

logger = logging.getLogger(__name__)

# From malloc.h; man 3 mallopt.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Serve large tensors from the heap, and never shrink it.

    By default glibc maps every large block from the kernel and returns it when it is freed, so
    that each activation of each step is paid for page by page. A training step allocates the same
    sizes over and over.

    Returns:
        Whether the C library has such a setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError) as error:  # musl, macOS
        logger.info("this C library keeps its own rules for freed memory: %s", error)
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
