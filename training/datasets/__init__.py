# SPDX-License-Identifier: Apache-2.0
"""Amodal datasets: official files, unchanged, read into one sample type."""

from __future__ import annotations

from pathlib import Path

from amodal_ros.annotations.amodal_coco import AmodalCocoWriter
from training.datasets.base import AmodalDataset, FrameKey
from training.datasets.coco_style import AmodalCocoDataset, KinsDataset
from training.datasets.cocoa import CocoaClsDataset, CocoaDataset, Mp3dAmodalDataset
from training.datasets.fishbowl import FishbowlDataset
from training.datasets.movid_a import MovidADataset
from training.datasets.sample import (
    AmodalSample,
    DatasetError,
    ImageFile,
    Provenance,
)
from training.untrusted import CorruptRecordError

__all__ = [
    "DATASETS",
    "AmodalCocoDataset",
    "AmodalCocoWriter",
    "AmodalDataset",
    "AmodalSample",
    "CocoaClsDataset",
    "CocoaDataset",
    "CorruptRecordError",
    "DatasetError",
    "FishbowlDataset",
    "FrameKey",
    "ImageFile",
    "KinsDataset",
    "MovidADataset",
    "Mp3dAmodalDataset",
    "Provenance",
    "open_dataset",
]

DATASETS = (
    AmodalCocoDataset,
    CocoaDataset,
    CocoaClsDataset,
    FishbowlDataset,
    KinsDataset,
    MovidADataset,
    Mp3dAmodalDataset,
)


def open_dataset(name: str, root: Path, annotations: Path) -> AmodalDataset:
    """Open a dataset by name.

    Args:
        name: the ``name`` of one of `DATASETS`.
        root: folder of the images.
        annotations: the official annotation file (MOViD-A: the split's folder or list).

    Raises:
        DatasetError: an unknown name, or files that are missing or of another layout.
    """
    classes = {dataset.name: dataset for dataset in DATASETS}
    if name not in classes:
        raise DatasetError(f"unknown dataset {name!r}; there are {', '.join(sorted(classes))}")
    return classes[name](root, annotations)
