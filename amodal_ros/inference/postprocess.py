# SPDX-License-Identifier: Apache-2.0
"""From the decoder's low-res logits to masks of the original image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amodal_ros.checks import check_array
from amodal_ros.errors import InvalidInputError
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.geometry import ResizeGeometry


def masks_from_logits(
    logits: np.ndarray, geometries: Sequence[ResizeGeometry], threshold: float = 0.0
) -> tuple[CroppedMask, ...]:
    """Carries each object's logits through its own geometry to a mask of the original image.

    Args:
        logits: (N, 1, s, s) float32, in the input frame.
        geometries: N of them, of one original size; N times the same for an image encoded whole.
        threshold: a pixel belongs to the mask where its interpolated logit is greater.

    Returns:
        N masks.

    Raises:
        InvalidInputError: for no object, another dtype or rank, or differing lengths or sizes.
    """
    logits = check_array("logits", logits, np.float32, (len(geometries), 1, None, None))
    sizes = {geometry.original_hw for geometry in geometries}
    if len(sizes) != 1:
        raise InvalidInputError(f"geometries: expected one original size, got {sorted(sizes)}")
    return tuple(
        geometry.mask_of_logits(low_res, threshold)
        for low_res, geometry in zip(logits[:, 0], geometries, strict=True)
    )
