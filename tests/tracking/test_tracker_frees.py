# SPDX-License-Identifier: Apache-2.0
"""What the tracker leaves behind is freed at once: some megabytes of embeddings a frame."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.tracking.test_appearance import HAND, OBJECT
from tests.tracking.test_tracker_looks import AT, Scene, moved


@pytest.fixture
def circles() -> Iterator[list[object]]:
    """What only the search for circles can free."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def test_no_frame_leaves_circles(circles: list[object]) -> None:
    scene = Scene(again=True)
    scene.textured = True
    for _ in range(12):  # a second: it is surely seen once more
        scene.show([(AT, OBJECT)], [AT])
    for right in (0, 6, 12):  # it is lost behind a hand, and looked for
        scene.show([(moved(AT, right), OBJECT), (AT, HAND)])
    scene.show([(AT, OBJECT)])
    gc.collect()
    ours = [one for one in circles if type(one).__module__.startswith("amodal_ros")]
    assert ours == []
