# SPDX-License-Identifier: Apache-2.0
"""Logistic regression without a constant: exchanging two objects turns the odds round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_STEPS, _NEAR = 50, 1e-6


@dataclass(frozen=True)
class HeldOut:
    """How well pairs are told of scenes that weights were not fitted to.

    Attributes:
        accuracy: share of the pairs put in the true order.
        loss: mean of the negative logarithm of the probability given to it.
    """

    accuracy: float
    loss: float


def fit(values: np.ndarray, truth: np.ndarray, ridge: float) -> np.ndarray:
    """Weights by Newton's method.

    Args:
        values: (P, W) float, what each witness says of each pair.
        truth: (P,) bool, the first object lies in front.
        ridge: how much large weights cost, of witnesses scaled to a mean square of 1, as a share
            of a loss summed over a hundred pairs.

    Returns:
        (W,) float64.
    """
    scale = np.sqrt(np.mean(values**2, axis=0)) + 1e-9
    scaled = values / scale
    costs = ridge * len(values) / 100 * np.eye(values.shape[1])
    weights = np.zeros(values.shape[1])
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-scaled @ weights))
        slope = scaled.T @ (likely - truth) + costs @ weights
        bend = (scaled.T * (likely * (1 - likely))) @ scaled + costs
        step = np.linalg.solve(bend, slope)
        weights -= step
        if np.abs(step).max() < _NEAR:
            break
    return np.asarray(weights / scale)


def held_out(
    values: np.ndarray, truth: np.ndarray, scenes: Sequence[str], ridge: float, folds: int = 5
) -> HeldOut:
    """Cross-validation by scene.

    Args:
        values: see `fit`.
        truth: likewise.
        scenes: of each pair; those of one scene are held out together.
        ridge: see `fit`.
        folds: so many parts.
    """
    names = sorted(set(scenes))
    np.random.default_rng(0).shuffle(names)
    part_of = {name: k % folds for k, name in enumerate(names)}
    part = np.array([part_of[scene] for scene in scenes])
    odds = np.zeros(len(values))
    for k in set(part_of.values()):
        weights = fit(values[part != k], truth[part != k], ridge)
        odds[part == k] = values[part == k] @ weights
    signed = np.where(truth, odds, -odds)
    return HeldOut(float(np.mean(signed > 0)), float(np.mean(np.logaddexp(0, -signed))))
