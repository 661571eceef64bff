# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from amodal_ros.image.scratch import Scratch


def test_an_array_is_kept_and_grows() -> None:
    scratch = Scratch()
    first = scratch.part("a", (4, 5))
    first[:] = 7
    assert (scratch.part("a", (2, 3)) == 7).all()
    assert np.shares_memory(first, scratch.part("a", (5, 4)))
    assert not np.shares_memory(first, scratch.part("b", (4, 5)))
    assert scratch.part("a", (6, 5)).shape == (6, 5)
    assert scratch.part("a", (6, 5)).dtype == np.float32


def test_each_thread_has_its_own() -> None:
    scratch = Scratch()
    mine = scratch.part("a", (3,))
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(scratch.part, "a", (3,)).result()
    assert not np.shares_memory(mine, other)
