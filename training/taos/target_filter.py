# SPDX-License-Identifier: Apache-2.0
"""Which photo objects may be targets: those that nothing cuts.

Annotations of photos are visible masks. A target that is itself cut teaches wrong shapes, so
an object is taken only if its outline gives no hint of being cut: not at the image border,
nearly as full as its convex hull, in one piece, and not touched by another annotated object.
Things that are thin everywhere (pens, scissors, glasses, handles) may be smaller and far from
convex.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.taos.config import TaosConfig
from training.taos.types import Photo, PhotoObject

_THIN = 1 / 8


def piece_areas(mask: np.ndarray) -> np.ndarray:
    """Pixel counts of the 8-connected pieces of an (H, W) bool or uint8 mask, any order."""
    binary = np.ascontiguousarray(mask).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(binary)
    if width == 0:
        return np.zeros(0, np.int64)
    crop = binary[y : y + height, x : x + width]  # labelling costs per pixel
    stats = cv2.connectedComponentsWithStats(np.ascontiguousarray(crop), connectivity=8)[2]
    return stats[1:, cv2.CC_STAT_AREA].astype(np.int64)


def largest_piece_share(mask: np.ndarray) -> float:
    """Share of the mask that its largest piece holds; 0 for an empty mask."""
    areas = piece_areas(mask)
    return float(areas.max() / areas.sum()) if len(areas) else 0.0


def solidity(mask: np.ndarray) -> float:
    """Area of a mask divided by the area of its convex hull; 0 for an empty mask."""
    binary = np.ascontiguousarray(mask).astype(np.uint8)
    points = cv2.findNonZero(binary)
    if points is None:
        return 0.0
    hull = cv2.fillConvexPoly(np.zeros_like(binary), cv2.convexHull(points), 1)
    return float(binary.sum() / hull.sum())


def is_thin(mask: np.ndarray) -> bool:
    """Whether a mask is nowhere thicker than an eighth of its length.

    Length is that of the longer side of the least rectangle around it, thickness twice the
    largest distance of a pixel from the outside.
    """
    points = cv2.findNonZero(np.ascontiguousarray(mask).astype(np.uint8))
    if points is None:
        return False
    x, y, width, height = cv2.boundingRect(points)
    crop = np.pad(np.ascontiguousarray(mask[y : y + height, x : x + width]).astype(np.uint8), 1)
    thickness = 2 * float(cv2.distanceTransform(crop, cv2.DIST_L2, 5).max())
    return thickness <= _THIN * max(cv2.minAreaRect(points)[1])


_CONTACT_PX = 3
_NESTED = 0.9
_HULL_BITE = 0.03
_BACKGROUND_RATIO = 4.0


def smallest_target(mask: np.ndarray, config: TaosConfig) -> float:
    """Least share of the image area for a target of this shape, (H, W) bool."""
    if is_thin(mask):
        return min(config.min_thin_area, config.target_area[0])
    return config.target_area[0]


def cheap_reason(photo: Photo, item: PhotoObject, config: TaosConfig) -> str:
    """Judges by box and area alone; returns a reason, or "" when nothing speaks against it."""
    height, width = photo.native_hw
    share = item.area / (height * width)
    x0, y0, x1, y1 = item.box_xyxy
    longest = max(x1 - x0, y1 - y0)
    # A thin one's area is small for its length; the drawn mask shows whether it is thin.
    may_be_thin = share >= config.min_thin_area and item.area < 0.35 * longest**2
    if share < config.target_area[0] and not may_be_thin:
        return "target_small"
    if share > config.target_area[1]:
        return "target_large"
    margin = config.border_margin * max(photo.native_hw) / max(photo.hw)
    if x0 < margin or y0 < margin or x1 > width - margin or y1 > height - margin:
        return "target_at_border"
    return ""


def mask_reason(photo: Photo, item: PhotoObject, mask: np.ndarray, config: TaosConfig) -> str:
    """Judges the drawn mask and its neighbours; returns a reason, or "".

    Args:
        photo: the photo `item` belongs to.
        item: the candidate.
        mask: (H, W) bool at the photo's working size.
        config: limits.
    """
    area = int(np.count_nonzero(mask))
    if area < 64:
        return "target_small"
    binary = mask.astype(np.uint8)
    if largest_piece_share(binary) < 0.97:
        return "target_in_pieces"
    outlines, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=len)
    hull = cv2.convexHull(outline)
    hull_mask = cv2.fillConvexPoly(np.zeros_like(binary), hull, 1)
    thin = is_thin(mask)
    if not thin and area < config.target_area[0] * mask.size:
        return "target_small"
    solidity = config.min_thin_solidity if thin else config.min_solidity
    if area < solidity * int(hull_mask.sum()):
        return "target_not_solid"
    return _neighbour_reason(photo, item, binary, hull_mask, config)


def _neighbour_reason(
    photo: Photo, item: PhotoObject, binary: np.ndarray, hull: np.ndarray, config: TaosConfig
) -> str:
    area = int(binary.sum())
    scale = photo.hw[1] / photo.native_hw[1]
    reach = _CONTACT_PX / scale
    kernel = np.ones((2 * _CONTACT_PX + 1, 2 * _CONTACT_PX + 1), np.uint8)
    rim = binary - cv2.erode(binary, np.ones((3, 3), np.uint8))
    for other in photo.objects:
        if other is item or not _boxes_meet(item.box_xyxy, other.box_xyxy, reach):
            continue
        neighbour = other.rasterise(photo.hw).astype(np.uint8)
        shared = int((neighbour & binary).sum())
        size = int(neighbour.sum())
        if size == 0 or shared >= _NESTED * size or shared >= _NESTED * area:
            continue  # a part of the target, or a whole of which the target is a part
        if photo.background_annotated and size > _BACKGROUND_RATIO * area:
            continue  # ground or wall: everything stands on or before some
        if int((neighbour & hull & (1 - binary)).sum()) > _HULL_BITE * area:
            return "target_bitten"
        contact = int(np.count_nonzero((cv2.dilate(neighbour, kernel) > 0) & (rim > 0)))
        if contact > config.max_contact * int(np.count_nonzero(rim)):
            return "target_touched"
    return ""


def _boxes_meet(a: tuple[float, ...], b: tuple[float, ...], reach: float) -> bool:
    return (
        a[0] - reach < b[2] and b[0] - reach < a[2] and a[1] - reach < b[3] and b[1] - reach < a[3]
    )
