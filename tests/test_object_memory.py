# SPDX-License-Identifier: Apache-2.0
"""What is remembered of an object, and for how long."""

from __future__ import annotations

import numpy as np
import torch

from amodal_ros.object_memory import MemoryWindow, ObjectMemory, from_bfloat16, to_bfloat16

WINDOW = MemoryWindow(frames=7, stride=1, pointers=16, prompted=2)


def look(memory: ObjectMemory, *, prompted: bool, window: MemoryWindow = WINDOW) -> ObjectMemory:
    """One more look, whose maps and pointers hold its number."""
    maps = np.full((2, 4, 2, 2), memory.looks, np.float32)
    return memory.after(maps, np.full((2, 3), memory.looks, np.float32), prompted, window)


def looked_at(memory: ObjectMemory, window: MemoryWindow = WINDOW) -> list[tuple[int, int]]:
    """Place and number of each look whose mask the next one looks at."""
    maps = memory.maps(window)
    return [(int(place), int(from_bfloat16(values)[0, 0, 0, 0])) for place, values in maps]


def test_the_first_and_the_newest_prompt_and_the_last_looks_are_kept() -> None:
    memory, sizes = ObjectMemory("m"), []
    for number in range(60):
        before = memory
        memory = look(memory, prompted=number % 20 == 0)
        assert before.looks == number  # a memory is not changed
        sizes.append(memory.nbytes)
    assert looked_at(memory) == [(7, 0), (7, 40), *((6 - i, 54 + i) for i in range(6))]
    ages = [int(age) for age, _ in memory.pointers(WINDOW)]
    assert ages == [60, 20, *range(1, 16)]
    assert [one.maps is None for one in memory.tracked] == [True] * 9 + [False] * 6
    assert sizes[-1] == sizes[39] == max(sizes[:40])  # bounded


def test_a_look_that_was_a_prompt_is_in_no_other_place() -> None:
    memory = ObjectMemory("m")
    for number in range(4):
        memory = look(memory, prompted=number in (0, 2))
    assert looked_at(memory) == [(7, 0), (7, 2), (3, 1), (1, 3)]
    assert [int(age) for age, _ in memory.pointers(WINDOW)] == [4, 2, 1, 3]


def test_every_so_manieth_frame_as_sam2_takes_them() -> None:
    """SAM 2's own rule for the frame of each place: the last one, then multiples of the stride."""
    window = MemoryWindow(frames=4, stride=3, pointers=1, prompted=1)
    memory = ObjectMemory("m")
    for number in range(12):
        memory = look(memory, prompted=number == 0, window=window)
    # Look 12: place 1 is 11; from (12 - 2) // 3 * 3 = 9 on by threes.
    assert looked_at(memory, window) == [(4, 0), (3, 6), (2, 9), (1, 11)]
    assert len(memory.pointers(window)) == 1


def test_rounding_is_torchs() -> None:
    values = np.random.default_rng(0).normal(size=4096).astype(np.float32)
    values[:4] = [0.0, -0.0, 1.00390625, 1.01171875]  # two of them in the middle between numbers
    wanted = torch.from_numpy(values).to(torch.bfloat16).float().numpy()
    np.testing.assert_array_equal(from_bfloat16(to_bfloat16(values)), wanted)
