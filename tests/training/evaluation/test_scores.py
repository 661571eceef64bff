# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from amodal_ros.metrics import measure_overlap
from training.evaluation.scores import InstanceScore, ScoreBoard, score_instance
from training.metrics.miou import LABELS, UNOCCLUDED, davis_tolerance


def square(shift: int) -> np.ndarray:
    mask = np.zeros((60, 80), dtype=bool)
    mask[20:40, 20 + shift : 40 + shift] = True
    return mask


def test_boundary_f_has_the_tolerance_of_davis():
    assert davis_tolerance((480, 640)) == 7
    assert davis_tolerance((60, 80)) == 1
    near, far = (score_instance(square(k), square(0), square(0)) for k in (1, 4))
    assert near.boundary_f == 1
    assert far.boundary_f < 1
    board = ScoreBoard([near, InstanceScore(near.overlap, 0.5)])
    assert board.compute()["boundary-f"] == {"f": 75.0, "n": 2}
    assert ScoreBoard().compute()["boundary-f"] == {"f": None, "n": 0}


def test_buckets_by_hand():
    whole = np.ones((1, 10), dtype=bool)
    board = ScoreBoard()
    for seen in (10, 9, 8, 6, 4, 2, 0):  # rates 0, .1, .2, .4, .6, .8, 1
        overlap = measure_overlap(whole, whole, np.arange(10)[None] < seen)
        board.add(InstanceScore(overlap, seen / 10), None)
    result = board.buckets()
    assert [result[label]["n"] for label in (UNOCCLUDED, *LABELS)] == [1, 2, 1, 1, 1, 2]
    assert result["0-20 %"]["n_occluded"] == 1
    assert result["80-100 %"]["boundary_f"] == 10.0
    assert sum(result[label]["n"] for label in LABELS) == 7
    nothing = {"miou_full": None, "miou_occ": None, "n": 0, "n_occluded": 0, "boundary_f": None}
    assert ScoreBoard().buckets()["20-40 %"] == nothing
