# SPDX-License-Identifier: Apache-2.0
"""Worker processes that end with the process that started them, even where that was killed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.process import BaseProcess


def end_with_parent() -> None:
    """Follow the parent into its end; an initialiser of a pool's workers.

    A pool shuts its workers down in an orderly end alone. After a kill they would work through
    what they were sent already, and then wait for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
