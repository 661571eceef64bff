# SPDX-License-Identifier: Apache-2.0
"""How masks are compared with true ones: pixel counts, and the metric ``c2f`` of published tables.

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


@dataclass(frozen=True)
class MiouResult:
    """Result of one metric.

    Attributes:
        miou_full: over amodal masks; None without instances.
        miou_occ: over hidden parts; None without occluded instances.
        n: instances behind `miou_full`.
        n_occluded: instances behind `miou_occ`.
    """

    miou_full: float | None
    miou_occ: float | None
    n: int
    n_occluded: int


class MaskMetric:
    """Shared ``update``: counts the pixels and hands them to ``add``."""

    def update(
        self,
        prediction: NDArray[np.bool_],
        amodal: NDArray[np.bool_],
        visible: NDArray[np.bool_],
    ) -> None:
        """Add one instance, masks (H, W) bool.

        Raises:
            InvalidInputError: masks that are not bool or of different sizes.
        """
        self.add(measure_overlap(prediction, amodal, visible))

    def add(self, overlap: Overlap) -> None:
        """Add one instance whose pixels are counted already."""
        raise NotImplementedError


class C2fMiou(MaskMetric):
    """``c2f``, the definition behind the published tables (Eq. 11; C2F-Seg's code).

    miou_full is the mean of IoU(P, G). miou_occ is the sum of IoU(P minus V, G minus V) over all
    instances, divided by the number of those whose summed G - V is not zero.

    >>> metric = C2fMiou()
    >>> whole = np.array([[True, True, True, True]])
    >>> seen = np.array([[True, True, False, False]])
    >>> metric.update(np.array([[True, True, True, False]]), whole, seen)
    >>> metric.compute()
    MiouResult(miou_full=0.75, miou_occ=0.5, n=1, n_occluded=1)
    """

    def __init__(self) -> None:
        self._full: list[float] = []
        self._occluded_sum = 0.0
        self._n_occluded = 0

    def add(self, overlap: Overlap) -> None:
        """Add one instance whose pixels are counted already."""
        self._full.append(overlap.iou_full)
        self._occluded_sum += overlap.iou_occluded
        self._n_occluded += overlap.is_occluded

    def compute(self) -> MiouResult:
        """The means so far."""
        count = len(self._full)
        return MiouResult(
            miou_full=sum(self._full) / count if count else None,
            miou_occ=self._occluded_sum / self._n_occluded if self._n_occluded else None,
            n=count,
            n_occluded=self._n_occluded,
        )
