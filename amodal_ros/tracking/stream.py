# SPDX-License-Identifier: Apache-2.0
"""Whether a camera's stream goes on, and what its camera does if it goes on as before."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from amodal_ros.tracking.points import Points
from amodal_ros.tracking.scene import SceneMotion, SceneView, scene_motion
from amodal_ros.tracking.track import IDENTITY

# A stream that stood still is not a clock that jumped: slow engines and cameras that stall are.
_LEAST_GAP_S = 5.0
_COASTS = 2.0  # so many times `max_coast`
_FURTHEST = 3.0  # the camera's motion is not drawn out further than this


@dataclass
class Stream:
    """What is known of the frames so far.

    Attributes:
        stamp_s: time of the newest frame that was planned; -inf before the first.
        answered_s: of the newest one that was answered.
        image_hw: (height, width) of the newest one planned; None before the first.
        scene: of the last one answered; None: not known.
        points: of that one, to be followed on; None: they are to be looked for.
        camera: (2, 3), the camera's last motion; None: not known.
        camera_s: seconds that it took.
    """

    stamp_s: float = -math.inf
    answered_s: float = -math.inf
    image_hw: tuple[int, int] | None = None
    scene: SceneView | None = None
    points: Points | None = None
    camera: np.ndarray | None = None
    camera_s: float = 0.0

    def follow(
        self, stamp_s: float, image_hw: tuple[int, int], scene: SceneView | None
    ) -> tuple[SceneMotion, str]:
        """What happened since the last answered frame, and why the stream does not go on.

        Args:
            stamp_s: time of the new frame.
            image_hw: its (height, width).
            scene: of it; None: no image was given.

        Returns:
            The motion, and the reason; empty: it goes on.
        """
        motion = SceneMotion.unknown()
        if stamp_s < self.stamp_s:
            return motion, f"time went back by {self.stamp_s - stamp_s:.3f} s"
        if self.image_hw not in (None, image_hw):
            return motion, f"image size went from {self.image_hw} to {image_hw}"
        if self.scene is not None and scene is not None:
            motion = scene_motion(self.scene, scene, self.points)
        return motion, "scene cut" if motion.cut else ""

    def answered(
        self,
        stamp_s: float,
        scene: SceneView | None,
        camera: np.ndarray,
        points: Points | None = None,
    ) -> None:
        """Takes over a frame that was answered.

        Args:
            stamp_s: its time.
            scene: of it; None: no image was given.
            camera: (2, 3), the camera's motion up to it.
            points: of it, to be followed on; None: they are to be looked for.
        """
        self.camera, self.camera_s = camera, self.passed_s(stamp_s)
        self.scene, self.points, self.answered_s = scene, points, stamp_s

    def expected_camera(self, stamp_s: float) -> np.ndarray | None:
        """What the camera does until `stamp_s` if it goes on: (2, 3); None: not known."""
        if self.camera is None or self.camera_s <= 0:
            return None
        ratio = min(self.passed_s(stamp_s) / self.camera_s, _FURTHEST)
        return IDENTITY + ratio * (self.camera - IDENTITY)

    def passed_s(self, stamp_s: float) -> float:
        """Seconds since the last answered frame; 0 before there was one."""
        return stamp_s - self.answered_s if math.isfinite(self.answered_s) else 0.0

    def is_torn(self, stamp_s: float, max_coast: float) -> bool:
        """Whether no frame was answered for so long that what was known is over.

        More than twice `max_coast`, and at least 5 s: a clock that jumps forward, a camera that
        was away. Negative `max_coast`: never.
        """
        return max_coast >= 0 and self.passed_s(stamp_s) > max(_COASTS * max_coast, _LEAST_GAP_S)
