# SPDX-License-Identifier: Apache-2.0
"""Training data: objects with known amodal masks, framed and prompted as at inference."""

from training.data.config import DataConfig, PriorConfig, SourceConfig
from training.data.dataset import build_dataset, build_validation, collate
from training.data.feature_cache import with_cached_features

__all__ = [
    "DataConfig",
    "PriorConfig",
    "SourceConfig",
    "build_dataset",
    "build_validation",
    "collate",
    "with_cached_features",
]
