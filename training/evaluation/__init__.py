# SPDX-License-Identifier: Apache-2.0
"""Evaluation: models, prompts, baselines, metrics and reports."""
