# SPDX-License-Identifier: Apache-2.0
"""How masks are compared with true ones: pixel counts, and the metric ``c2f`` of published tables.

P = predicted amodal mask, G = true amodal mask, V = true visible mask, all at image size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
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


def c2f(overlaps: Iterable[Overlap]) -> MiouResult:
    """``c2f``, the definition behind the published tables (Eq. 11; C2F-Seg's code).

    miou_full is the mean of IoU(P, G). miou_occ is the sum of IoU(P minus V, G minus V) over all
    instances, divided by the number of those whose summed G - V is not zero.

    >>> whole = np.array([[True, True, True, True]])
    >>> seen = np.array([[True, True, False, False]])
    >>> c2f([measure_overlap(np.array([[True, True, True, False]]), whole, seen)])
    MiouResult(miou_full=0.75, miou_occ=0.5, n=1, n_occluded=1)
    """
    found = list(overlaps)
    n_occluded = sum(one.is_occluded for one in found)
    return MiouResult(
        miou_full=sum(one.iou_full for one in found) / len(found) if found else None,
        miou_occ=sum(one.iou_occluded for one in found) / n_occluded if n_occluded else None,
        n=len(found),
        n_occluded=n_occluded,
    )


def boundary_f(mask: NDArray[np.bool_], other: NDArray[np.bool_], tolerance_px: float) -> float:
    """F-measure of the boundary pixels of two masks.

    A boundary pixel belongs to the mask and has a 4-neighbour that does not (beyond the image's
    border nothing does). It is matched if a boundary pixel of the other mask lies within the
    tolerance. Two empty masks score 1, an empty and another one 0.

    Args:
        mask: (H, W) bool.
        other: (H, W) bool.
        tolerance_px: largest Euclidean distance between pixel centres.

    Raises:
        InvalidInputError: masks that are not bool or of different sizes, or a negative tolerance.
    """
    for one in (mask, other):
        if one.ndim != 2 or one.dtype != np.bool_ or one.shape != mask.shape:
            raise InvalidInputError(
                f"expected two masks (H, W) bool of one size, got {mask.shape} {mask.dtype} and "
                f"{other.shape} {other.dtype}"
            )
    if not tolerance_px >= 0:
        raise InvalidInputError(f"tolerance_px must be >= 0, got {tolerance_px}")
    region = _common_region(mask | other, math.ceil(tolerance_px))
    if region is None:
        return 1.0
    ours, theirs = _boundary(mask)[region], _boundary(other)[region]
    if not ours.any() or not theirs.any():
        return 0.0
    precision = _matched_share(ours, theirs, tolerance_px)
    recall = _matched_share(theirs, ours, tolerance_px)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def diagonal_tolerance(hw: tuple[int, ...], share: float) -> float:
    """A share of the diagonal of an image of height and width ``hw``, in whole pixels, rounded up.

    DAVIS allows 0.008.
    """
    return float(math.ceil(share * math.hypot(*hw)))


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _matched_share(
    boundary: NDArray[np.bool_], other: NDArray[np.bool_], tolerance_px: float
) -> float:
    distance = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(np.mean(distance[boundary] <= tolerance_px + 1e-3))


def _common_region(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice] | None:
    """Rows and columns that hold both masks and everything within the tolerance."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    return (
        slice(max(rows[0] - margin, 0), rows[-1] + margin + 1),
        slice(max(columns[0] - margin, 0), columns[-1] + margin + 1),
    )
