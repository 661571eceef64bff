# SPDX-License-Identifier: Apache-2.0
"""Pixel counts of one prediction against its ground truth, from which every IoU here is made.

P = predicted amodal mask, G = true amodal mask, V = true visible mask, all at image size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError


@dataclass(frozen=True)
class Overlap:
    """Pixel counts of one instance.

    Attributes:
        full_intersection: of P and G.
        full_union: of P and G.
        hidden_intersection: of P minus V and G minus V.
        hidden_union: of P minus V and G minus V.
        amodal: of G.
        hidden: of G minus V as sets.
        signed_hidden: the sum of G - V as numbers, as C2F-Seg's code has it: |G| - |V|. It differs
            from `hidden` where V reaches outside G.
    """

    full_intersection: int
    full_union: int
    hidden_intersection: int
    hidden_union: int
    amodal: int
    hidden: int
    signed_hidden: int

    @property
    def iou_full(self) -> float:
        """IoU(P, G); 1 where both are empty, as published code smooths it."""
        return self.full_intersection / self.full_union if self.full_union else 1.0

    @property
    def iou_occluded(self) -> float:
        """IoU(P minus V, G minus V) of Eq. 11; 0 where both are empty, as in published code."""
        return self.hidden_intersection / self.hidden_union if self.hidden_union else 0.0

    @property
    def is_occluded(self) -> bool:
        """Whether published code counts the instance as occluded."""
        return self.signed_hidden != 0

    @property
    def occlusion_rate(self) -> float:
        """Hidden share of G, in [0, 1]; 0 where G is empty."""
        return self.hidden / self.amodal if self.amodal else 0.0


def measure_overlap(
    prediction: NDArray[np.bool_], amodal: NDArray[np.bool_], visible: NDArray[np.bool_]
) -> Overlap:
    """Count the pixels of one instance.

    Args:
        prediction: (H, W) bool, P.
        amodal: (H, W) bool, G.
        visible: (H, W) bool, V.

    Raises:
        InvalidInputError: masks that are not bool, not 2D, or of different sizes.
    """
    check_masks(prediction=prediction, amodal=amodal, visible=visible)
    unseen = ~visible
    both, either = prediction & amodal, prediction | amodal
    return Overlap(
        full_intersection=int(np.count_nonzero(both)),
        full_union=int(np.count_nonzero(either)),
        hidden_intersection=int(np.count_nonzero(both & unseen)),
        hidden_union=int(np.count_nonzero(either & unseen)),
        amodal=(area := int(np.count_nonzero(amodal))),
        hidden=int(np.count_nonzero(amodal & unseen)),
        signed_hidden=area - int(np.count_nonzero(visible)),
    )


def check_masks(**masks: NDArray[np.bool_]) -> None:
    """Refuse masks that are not (H, W) bool of one size.

    Raises:
        InvalidInputError: naming the first that differs.
    """
    shape: tuple[int, ...] | None = None
    for name, mask in masks.items():
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 2:
            found = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask)
            raise InvalidInputError(f"{name} must be (H, W) bool, got {found}")
        if shape is not None and mask.shape != shape:
            raise InvalidInputError(f"{name} is {mask.shape}, the masks before it are {shape}")
        shape = mask.shape
