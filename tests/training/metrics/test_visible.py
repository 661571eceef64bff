# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from training.metrics.visible import measure_visible, visible_means


def _mask(left: int, right: int) -> np.ndarray:
    mask = np.zeros((4, 10), bool)
    mask[:, left:right] = True
    return mask


def test_iou_and_the_share_on_others():
    score = measure_visible(_mask(0, 8), _mask(0, 6), _mask(6, 10), 0.4)
    assert score.iou == pytest.approx(6 / 8)
    assert score.on_others == pytest.approx(2 / 8)


def test_empty_masks_and_unknown_others():
    nothing = _mask(0, 0)
    assert measure_visible(nothing, nothing, _mask(0, 4), 0.0).iou == 1.0
    assert measure_visible(nothing, _mask(0, 2), _mask(2, 4), 0.0).on_others == 0.0
    assert measure_visible(_mask(0, 2), _mask(0, 2), None, 0.0).on_others is None
    with pytest.raises(InvalidInputError):
        measure_visible(_mask(0, 2), np.zeros((3, 3), bool), None, 0.0)


def test_objects_hidden_by_more_than_a_tenth_are_told_apart():
    assert visible_means([]).iou is None
    found = visible_means(
        [
            measure_visible(_mask(0, 4), _mask(0, 4), _mask(4, 8), 0.05),
            measure_visible(_mask(0, 4), _mask(0, 2), _mask(2, 8), 0.5),
        ]
    )
    assert (found.iou, found.iou_hidden) == (pytest.approx(0.75), pytest.approx(0.5))
    assert (found.on_others, found.on_others_hidden) == (pytest.approx(0.25), pytest.approx(0.5))
    assert (found.n, found.n_hidden) == (2, 1)
