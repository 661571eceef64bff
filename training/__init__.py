# SPDX-License-Identifier: Apache-2.0
"""Training side of the project: TAOS data, datasets, metrics, training and evaluation.

Run from the repository root as modules (``python -m training.taos``); not installed.
"""
