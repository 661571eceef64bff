# SPDX-License-Identifier: Apache-2.0
"""Where both masks of an object end together, the visible one draws the outline.

Where nothing lies before an object, its whole and what is seen of it end at the same edge. The
logits of the visible mask find that edge better: the amodal mask learns a hidden part besides, and
what it has outside of the seen part without need costs it much (`loss.occlusion`). So it stays a
little inside, and objects that nothing hides come out worse than with the base model.

So the amodal logits ``a`` take those of the visible mask, ``v``, where both nearly agree::

    a + exp(-((a - v) / 2)²) · (v - a)

Where the masks disagree, at what is hidden and at what lies across the object, they stay as they
are; where both are one (the base model, gain 0) nothing changes. It is done to what the model
gives, not within it: in training both start as one mask, and amodal logits would learn nothing.

The manifest of a model folder says whether its masks are made so (`shared_outline`): its reference
holds such masks. `web/page/core/postprocess.js` has the same.
"""

from __future__ import annotations

import numpy as np

# Logits that differ by this much count a third as one. More moves the edges of hidden parts too.
_NEAR = 2.0


def with_shared_outline(amodal: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """The logits of whole objects, with the edges of what is seen where both end together.

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
