# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from training.metrics import BoundaryF, davis_tolerance


def square(shift: int) -> np.ndarray:
    mask = np.zeros((60, 80), dtype=bool)
    mask[20:40, 20 + shift : 40 + shift] = True
    return mask


def test_mean_and_the_davis_tolerance():
    metric = BoundaryF()
    assert metric.compute() is None
    assert metric.update(square(1), square(0)) == 1
    metric.add(0.5)
    assert metric.compute() == 0.75
    assert davis_tolerance((480, 640)) == 7
    assert davis_tolerance((60, 80)) == 1
    assert BoundaryF(tolerance_px=0).update(square(1), square(0)) < 1
