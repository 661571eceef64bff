# SPDX-License-Identifier: Apache-2.0
"""What is remembered of an object from one frame to the next."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from amodal_ros.tracking.appearance import Memory
from amodal_ros.tracking.shape import IDENTITY, Silhouette
from amodal_ros.types import PointPrompt


@dataclass
class Track:
    """One object, as of the last frame that was answered; original pixels.

    Attributes:
        track_id: its identity.
        class_id: see `TrackedObject`.
        identity: the detector's, under which it is found again; empty: none.
        score: of its last detection.
        last_seen_s: time of its last detection.
        trusted_s: when its mask was last confirmed: by a detection, or by what is visible of it.
        detected_box: (4,) float64, its last detection's, moved along since.
        shape: its last amodal mask that was trusted; None before there was one.
        evidence: how many pixels of it were visible when that mask was seen best; it halves.
        pose: (2, 3), how that mask moved since.
        seen: its visible mask in the last frame; None: nothing was visible.
        memory: what it looks like; None: not known.
        place: (4,) box, where to look for it in the next frame while no detection says, as of the
            last frame; None: where its mask should be.
        missed: how many frames in a row nothing confirmed it.
        velocity: (2,) float64, pixels per second, beside the camera's motion.
        measured: in how many frames its velocity was measured.
        restart: its mask drifted: the next M_spec is the box.
        pinned: given by a user.
        given: pinned, and not answered yet: the user's box stands for a detection.
        points: the user's, a prompt while `given`; None: only a box was given.
    """

    track_id: int
    class_id: str
    identity: str
    score: float
    last_seen_s: float
    trusted_s: float
    detected_box: np.ndarray
    shape: Silhouette | None = None
    evidence: float = 0.0
    pose: np.ndarray = field(default_factory=IDENTITY.copy)
    seen: Silhouette | None = None
    memory: Memory | None = None
    place: np.ndarray | None = None
    missed: int = 0
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    measured: int = 0
    restart: bool = False
    pinned: bool = False
    given: bool = False
    points: PointPrompt | None = None

    def confirm(self, amodal_mask: np.ndarray, stamp_s: float) -> None:
        """Takes over a mask (H, W) bool, not empty, of the present frame."""
        self.shape, self.pose, self.trusted_s = Silhouette.of(amodal_mask), IDENTITY, stamp_s
