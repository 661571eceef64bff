# SPDX-License-Identifier: Apache-2.0
"""Optimal assignment (the Hungarian method) for the few objects of a frame.

`scipy.optimize.linear_sum_assignment` does the same for large problems; importing scipy costs time
and memory that a node with a few dozen objects need not spend.
"""

from __future__ import annotations

import numpy as np


def assign(gains: np.ndarray) -> list[tuple[int, int]]:
    """Pairs rows with columns, each at most once, so that the sum of their gains is greatest.

    Shortest augmenting paths with potentials, O(n^2 m) for n <= m.

    Args:
        gains: (n, m) finite numbers.

    Returns:
        min(n, m) pairs (row, column), by row.

    >>> assign(np.array([[5, 4], [4, 1]]))
    [(0, 1), (1, 0)]
    """
    costs = -np.asarray(gains, dtype=np.float64)
    if costs.shape[0] > costs.shape[1]:
        return sorted((row, column) for column, row in assign(np.transpose(gains)))
    rows, columns = costs.shape
    row_potential, column_potential = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1)
    for row in range(rows):
        came_from, end = _augmenting_path(costs, row, row_of, row_potential, column_potential)
        while end >= 0:
            previous = came_from[end]
            row_of[end] = row if previous < 0 else row_of[previous]
            end = previous
    return sorted((int(row_of[column]), int(column)) for column in np.flatnonzero(row_of >= 0))


def _augmenting_path(
    costs: np.ndarray,
    row: int,
    row_of: np.ndarray,
    row_potential: np.ndarray,
    column_potential: np.ndarray,
) -> tuple[np.ndarray, int]:
    """Finds the cheapest way to give `row` a column, moving other rows; updates the potentials.

    Returns:
        For each column the column before it on the path (-1: the path starts there), and the free
        column at its end.
    """
    columns = costs.shape[1]
    came_from = np.full(columns, -1)
    distance = np.full(columns, np.inf)
    visited = np.zeros(columns, dtype=bool)
    current, column = row, -1
    while True:
        reached = costs[current] - row_potential[current] - column_potential
        shorter = ~visited & (reached < distance)
        distance[shorter] = reached[shorter]
        came_from[shorter] = column
        column = int(np.argmin(np.where(visited, np.inf, distance)))
        step = distance[column]
        row_potential[row] += step
        row_potential[row_of[visited]] += step
        column_potential[visited] -= step
        distance[~visited] -= step
        if row_of[column] < 0:
            return came_from, column
        visited[column] = True
        current = row_of[column]
