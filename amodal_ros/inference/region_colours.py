# SPDX-License-Identifier: Apache-2.0
"""What the colours of a region say of the pixels that a mask is unsure of.

What is likely on an object and what likely lies beside it have their colours, and a pixel of which
the mask is unsure belongs rather to the one that has more of its colour: the ratio of the two
shares joins the logits, as in the region term of Boykov and Jolly (Interactive Graph Cuts, ICCV
2001, Eq. 4) and in GrabCut (Rother, Kolmogorov, Blake, 2004). Nothing is cut, since the mask knows
its surroundings already.
"""

from __future__ import annotations

import numpy as np

_BITS = 5  # of each channel: 32 colours of it
_LIKELY = 0.7  # probability from which on a pixel tells the colours of the object; beside it, too
_FEWEST = 20  # pixels on each side that tell its colours
_RARE = 6e-5  # share of a side that every colour has, seen there or not
_MOST = 3.0  # to which the logarithm of a ratio counts
_WEIGHT = 1.5  # of it, in logits that are 0
_UNSURE, _NO_MORE = 3.0, 4.0  # logits so far from 0 count it for a third, and not at all


def with_colours(picture: np.ndarray, logits: np.ndarray, sharpness: float) -> np.ndarray:
    """Logits of a mask, moved towards what the colours of its likely pixels say.

    Args:
        picture: (h, w, 3) uint8.
        logits: (h, w) float32 of the same pixels, whose threshold is 0.
        sharpness: factor of the logits that makes them those of a probability.

    Returns:
        (h, w) float32; as they came, where too few pixels are likely on the object or beside it.
    """
    likely = np.float32(np.log(_LIKELY / (1 - _LIKELY)) / sharpness)
    on, beside = logits > likely, logits < -likely
    counts = np.count_nonzero(on), np.count_nonzero(beside)
    if min(counts) < _FEWEST:
        return logits
    colours = _colours(picture)
    unsure = np.abs(logits) < _NO_MORE
    wanted, values = colours[unsure], logits[unsure]
    own, others = (
        np.bincount(colours[side], minlength=1 << 3 * _BITS)[wanted] * np.float32(1 / count)
        for side, count in zip((on, beside), counts, strict=True)
    )
    ratio = np.log((own + np.float32(_RARE)) / (others + np.float32(_RARE))).astype(np.float32)
    weight = np.float32(_WEIGHT) * np.exp(-np.square(values / np.float32(_UNSURE)))
    found = logits.copy()
    found[unsure] = values + weight * np.clip(ratio, -_MOST, _MOST)
    return found


def _colours(picture: np.ndarray) -> np.ndarray:
    """(h, w) int64: the number of each pixel's colour."""
    coarse = picture >> (8 - _BITS)
    number = coarse[..., 0].astype(np.int64)  # which `bincount` takes without a copy
    for channel in (1, 2):
        number <<= _BITS
        number += coarse[..., channel]
    return number
