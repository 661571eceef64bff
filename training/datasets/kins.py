# SPDX-License-Identifier: Apache-2.0
"""KINS, the original release and the one of 2020 (Qi et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.datasets.coco_style import CocoStyleDataset, Masks
from training.datasets.masks import decode_segmentation


class KinsDataset(CocoStyleDataset):
    """``instances_{train,val}.json`` or ``update_{train,test}_2020.json``, told apart by keys.

    Original: ``segmentation`` (amodal polygons, all merged) and ``inmodal_seg`` (RLE). 2020:
    ``a_segm`` and ``i_segm`` (polygons). Categories are mapped by id: the original has no
    instance of category 3, so positions and ids differ.
    """

    name = "kins"

    def image_folders(self, file_name: str) -> Sequence[str]:
        """``training/image_2`` or ``testing/image_2``: both hold a ``000000.png``."""
        split = "training" if "train" in self.annotations.name else "testing"
        return [f"{split}/image_2", split]

    def masks(self, annotation: Mapping[str, Any], hw: tuple[int, int]) -> Masks:
        """Amodal and visible mask of either release."""
        keys = ("a_segm", "i_segm") if "a_segm" in annotation else ("segmentation", "inmodal_seg")
        amodal, visible = (decode_segmentation(annotation[key], hw) for key in keys)
        return amodal, visible
