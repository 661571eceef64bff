# SPDX-License-Identifier: Apache-2.0
"""Which props of a picture are annotated, and with what."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.scenes.test_occluders import placed
from training.scenes.views import HW, View

pytestmark = pytest.mark.rendering  # the module of scenes loads MuJoCo

NEAR = View((0.3, 0.0, 0.05), 1.0, 0.0, -30.0, 45.0, 0.0)
ASIDE = View((0.3, 0.44, 0.05), 1.0, 0.0, -30.0, 45.0, 0.0)  # it is cut by the border
FAR_ASIDE = View((0.3, 0.6, 0.05), 1.0, 0.0, -30.0, 45.0, 0.0)


def mask(rows: slice, columns: slice) -> np.ndarray:
    drawn = np.zeros(HW, bool)
    drawn[rows, columns] = True
    return drawn


@pytest.mark.parametrize(
    ("view", "whole", "seen", "kept"),
    [
        (NEAR, mask(slice(200, 240), slice(300, 350)), mask(slice(200, 240), slice(300, 320)), 1),
        (NEAR, mask(slice(200, 204), slice(300, 312)), mask(slice(200, 204), slice(300, 312)), 1),
        (NEAR, mask(slice(200, 206), slice(300, 311)), mask(slice(200, 206), slice(300, 311)), 0),
        (NEAR, mask(slice(200, 201), slice(300, 330)), mask(slice(200, 201), slice(300, 330)), 0),
        (NEAR, mask(slice(200, 300), slice(300, 400)), mask(slice(200, 210), slice(300, 400)), 0),
        (ASIDE, mask(slice(200, 300), slice(0, 60)), mask(slice(200, 300), slice(0, 60)), 1),
        (FAR_ASIDE, mask(slice(200, 300), slice(0, 20)), mask(slice(200, 300), slice(0, 20)), 0),
    ],
)
def test_what_is_annotated(view: View, whole: np.ndarray, seen: np.ndarray, kept: int) -> None:
    from training.scenes.scene import annotated

    found = annotated(placed(), view, seen[None], whole[None])
    assert len(found) == kept
    for category, amodal, visible in found:
        assert category == "x"
        assert (amodal == whole).all()
        assert (visible == seen).all()


def test_a_few_hidden_pixels_are_none() -> None:
    from training.scenes.scene import annotated

    whole = mask(slice(200, 240), slice(300, 350))
    seen = whole.copy()
    seen[200, 300:309] = False
    ((_, amodal, visible),) = annotated(placed(), NEAR, seen[None], whole[None])
    assert (amodal == visible).all()
