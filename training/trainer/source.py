# SPDX-License-Identifier: Apache-2.0
"""Where a run's items come from.

A data source is the schema of the configuration's section ``data`` and functions that build from
it a dataset whose item i, for any i >= 0, is a pure function of the seed and i, a validation set
of some length, and a batch of items. As items are pure, the position in the data is one number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import Dataset

from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.config import AmodalConfig
from training.batch import TrainBatch, TrainClip

Batch = TrainBatch | TrainClip


@dataclass(frozen=True)
class DataSource:
    """How to read, build and batch data.

    Attributes:
        schema: Dataclass of the section ``data``.
        build: From the section, the model, a name of its base weights and a seed to the training
            data, a map-style dataset. The model is there for its frozen prefix, whose features a
            source may compute once.
        build_validation: From the section and the model to the fixed validation set, a map-style
            dataset with a length; None where the section asks for none.
        collate: From items to a batch.
    """

    schema: type
    build: Callable[[Any, AmodalModel, str, int], Dataset[Any]]
    build_validation: Callable[[Any, AmodalConfig], Dataset[Any] | None]
    collate: Callable[[Sequence[Any]], Batch]


def default_source() -> DataSource:
    """Return the source of all configurations in ``training/configs``."""
    from training.data import DataConfig, build_dataset, build_validation, collate
    from training.data.feature_cache import with_cached_features

    def build(section: Any, model: AmodalModel, base: str, seed: int) -> Dataset[Any]:
        dataset = build_dataset(section, model.config, seed)
        return with_cached_features(dataset, section, model, base, seed)

    return DataSource(DataConfig, build, build_validation, collate)
