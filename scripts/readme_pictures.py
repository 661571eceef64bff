# SPDX-License-Identifier: Apache-2.0
"""Draws the README's pictures: the demo clip's frames with the shipped model's masks.

``python -m scripts.readme_pictures`` writes ``docs/images/masks.jpg`` (a frame, its visible and
its amodal masks) and ``docs/images/clip.webp`` (the clip's first ``--frames``). Classes and boxes
are those of the visible parts, as a detector gives them; an object of which less than a
tenth is seen has none. Pillow is needed.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from amodal_ros.annotations.amodal_coco import load_annotations
from amodal_ros.loading import EngineOptions, load_predictor
from amodal_ros.occlusion.memory import OcclusionMemory
from amodal_ros.ros.convert.box_plan import plan_from_annotations
from amodal_ros.ros.demo.sources import CLIP_ANNOTATIONS, CLIP_VIDEO
from amodal_ros.ros.outputs.overlay import draw_masks, object_colour
from amodal_ros.tracking.asking import ask
from amodal_ros.tracking.tracker import AmodalTracker
from amodal_ros.tracking.types import TrackedObject
from amodal_ros.types import Detections

ROOT = Path(__file__).resolve().parents[1]
FRAMES_PER_SECOND = 12
EVERY = 2  # frames of the clip that are shown
WIDTH_OF_PANEL, WIDTH_OF_CLIP = 480, 448

Answer = tuple[np.ndarray, Sequence[TrackedObject]]


def answers() -> Iterator[Answer]:
    """Each frame (H, W, 3) uint8 RGB of the clip with its objects."""
    predictor = load_predictor(options=EngineOptions("onnxruntime"))
    tracker, memory = AmodalTracker(), OcclusionMemory()
    boxes = plan_from_annotations(load_annotations(CLIP_ANNOTATIONS))
    video = cv2.VideoCapture(str(CLIP_VIDEO))
    for frame in sorted(boxes.frames):
        _, bgr = video.read()
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        prompts = boxes.of(frame)
        detections = Detections.from_boxes(
            [one.box_xyxy for one in prompts], class_ids=[one.class_id for one in prompts]
        )
        plan = tracker.plan(detections, frame / FRAMES_PER_SECOND, rgb.shape[:2], rgb)
        features = predictor.encode(rgb)
        given = ask(predictor, features, plan)
        again = tracker.look_again(plan, given)
        if again is not None:
            second = predictor.predict(features, again.boxes_xyxy)
            plan, given = again.plan, again.joined(given, second)
        yield rgb, _published(tracker.update(plan, given), memory, frame / FRAMES_PER_SECOND)


def _published(
    objects: Sequence[TrackedObject], memory: OcclusionMemory, stamp_s: float
) -> list[TrackedObject]:
    """The objects as the node publishes them: no two see the same pixel."""
    found = [one for one in objects if not one.amodal.is_empty]
    visible, amodal = [one.visible for one in found], [one.amodal for one in found]
    graph = memory.graph([one.track_id for one in found], visible, amodal, stamp_s)
    return [replace(one, visible=seen) for one, seen in zip(found, graph.visible, strict=True)]


def drawn(rgb: np.ndarray, objects: Sequence[TrackedObject], *, amodal: bool) -> np.ndarray:
    """A frame with its visible masks, or with its amodal ones, the hidden parts hatched."""
    canvas = rgb.copy()
    for one in objects:
        whole = one.amodal if amodal else one.visible
        draw_masks(canvas, one.visible, whole, object_colour(one.track_id))
    return canvas


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--frame", type=int, default=6, help="of the picture (default: 6)")
    parser.add_argument("--frames", type=int, default=21, help="of the clip (default: 21)")
    options = parser.parse_args(argv)
    shown = []
    for frame, (rgb, objects) in enumerate(itertools.islice(answers(), options.frames)):
        amodal = drawn(rgb, objects, amodal=True)
        if frame == options.frame:
            panels = np.hstack([rgb, drawn(rgb, objects, amodal=False), amodal])
            _shrunk(panels, 3 * WIDTH_OF_PANEL).save(options.out / "masks.jpg", quality=88)
        if frame % EVERY == 0:
            shown.append(_shrunk(np.hstack([rgb, amodal]), 2 * WIDTH_OF_CLIP))
    first, *rest = shown
    first.save(
        options.out / "clip.webp",
        save_all=True,
        append_images=rest,
        duration=1000 * EVERY // FRAMES_PER_SECOND,
        loop=0,
        quality=60,
        method=4,
    )
    return 0


def _shrunk(picture: np.ndarray, width: int) -> Image.Image:
    height = round(picture.shape[0] * width / picture.shape[1])
    return Image.fromarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    raise SystemExit(main())
