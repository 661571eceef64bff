# SPDX-License-Identifier: Apache-2.0
"""Where a picture is taken from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Camera:
    """Where a picture is taken from; metres, and degrees for the field of view.

    Attributes:
        eye: (3,) position.
        forward: (3,) unit vector along the optical axis.
        up: (3,) unit vector towards the picture's upper side.
        fovy: vertical field of view, degrees; of an orthographic camera its height, metres.
        orthographic: whether lines of sight are parallel.
        near: distance of the near plane, metres.
        far: distance of the far plane, metres.
    """

    eye: NDArray[np.float64]
    forward: NDArray[np.float64]
    up: NDArray[np.float64]
    fovy: float
    orthographic: bool = False
    near: float = 0.02
    far: float = 12.0

    @property
    def right(self) -> NDArray[np.float64]:
        """(3,) unit vector towards the picture's right side."""
        return np.cross(self.forward, self.up)

    def rays(self, hw: tuple[int, int]) -> Float:
        """(H, W, 3) from the eye through each pixel's centre, of depth 1 along the axis."""
        half = np.tan(np.radians(self.fovy / 2))
        y = half * (1 - (2 * np.arange(hw[0]) + 1) / hw[0])
        x = half * hw[1] / hw[0] * ((2 * np.arange(hw[1]) + 1) / hw[1] - 1)
        across = x[None, :, None] * self.right + y[:, None, None] * self.up
        return (across + self.forward).astype(np.float32)
