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


# Logits that differ by this much count a third as one. More moves the edges of hidden parts too.
_NEAR = 2.0


def with_shared_outline(amodal: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """The logits of whole objects, with the edges of what is seen where both end together.

    Where nothing lies before an object, its whole and what is seen of it end at the same edge. The
    logits of the visible mask find that edge better: the amodal mask learns a hidden part besides,
    and what it has outside of the seen part without need costs it much (`loss.occlusion`). So it
    stays a little inside, and objects that nothing hides come out worse than with the base model.

    So the amodal logits ``a`` take those of the visible mask, ``v``, where both nearly agree::

        a + exp(-((a - v) / 2)²) · (v - a)

    Where the masks disagree, at what is hidden and at what lies across the object, they stay as
    they are; where both are one (the base model, gain 0) nothing changes. It is done to what the
    model gives, not within it: in training both start as one mask, and amodal logits would learn
    nothing.

    The manifest of a model folder says whether its masks are made so (`shared_outline`): its
    reference holds such masks. `web/page/core/postprocess.js` has the same.

    Args:
        amodal: (N, 1, s, s) float32, of whole objects.
        visible: the same, of what is seen of them.

    Returns:
        (N, 1, s, s) float32.
    """
    apart = visible - amodal
    nearness = np.square(apart * np.float32(1.0 / _NEAR))
    np.negative(nearness, out=nearness)
    np.exp(nearness, out=nearness)
    nearness *= apart
    nearness += amodal
    return nearness
