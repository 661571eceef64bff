# SPDX-License-Identifier: Apache-2.0
"""Frames with objects to calibrate int8 on, and others to judge it by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.verification.report import Scene

_CLIP = Path(__file__).resolve().parents[1] / "amodal_ros" / "demo_clip"
MIN_SIDE = 12.0  # pixels of a visible box; of less an object is hardly seen


def clip_scenes(frames: int) -> list[Scene]:
    """Evenly spaced frames of the demo clip, each with the visible boxes of its objects.

    Args:
        frames: how many, at least 2.

    Raises:
        InvalidInputError: for fewer frames than 2.
    """
    import av

    if frames < 2:
        raise InvalidInputError(f"frames: expected at least 2, got {frames}")
    annotations = json.loads((_CLIP / "annotations.json").read_text(encoding="utf-8"))
    boxes: dict[int, list[list[float]]] = {}
    for entry in annotations["annotations"]:
        x, y, width, height = entry["visible_bbox"]
        if min(width, height) >= MIN_SIDE:
            boxes.setdefault(entry["image_id"], []).append([x, y, x + width, y + height])
    frame_of = {image["frame"]: image["id"] for image in annotations["images"]}
    chosen = set(np.linspace(0, len(frame_of) - 1, frames).round().astype(int).tolist())
    scenes = []
    with av.open(str(_CLIP / "clip.mp4")) as clip:
        for number, frame in enumerate(clip.decode(video=0)):
            found = boxes.get(frame_of.get(number, -1))
            if number in chosen and found:
                image = frame.to_ndarray(format="rgb24")
                scenes.append(
                    Scene(f"clip frame {number}", image, np.array(found, dtype=np.float32))
                )
    return scenes


def divide(scenes: Sequence[Scene]) -> tuple[list[Scene], list[Scene]]:
    """Scenes to calibrate on and scenes to judge by, by turns.

    Raises:
        InvalidInputError: for a single scene: none would be left to judge by.
    """
    if len(scenes) < 2:
        raise InvalidInputError(f"scenes: expected at least 2, got {len(scenes)}")
    return list(scenes[::2]), list(scenes[1::2])
