# SPDX-License-Identifier: Apache-2.0
"""The reference of a model folder: scenes with occlusion, and their masks in fp32.

One scene is drawn. Of a trained model there are frames of the demo clip too, whose true masks are
known: an engine must not be less true than fp32.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np

import amodal_ros
from amodal_ros.backends.base import Backend
from amodal_ros.image.masks import mask_areas, mask_boxes
from amodal_ros.image.rle import decode_rle
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import ModelManifest
from amodal_ros.verification.reference import ReferenceFrame

SCENE_HW = (180, 240)
CLIP = Path(amodal_ros.__file__).parent / "demo_clip"
CLIP_FRAMES = (12, 36)
CLIP_SIZE = (256, 192)  # width and height
LEAST_VISIBLE = 0.15  # of an object's area


def draw_scene() -> tuple[np.ndarray, np.ndarray]:
    """Draw a table with a plate, a ball behind a box, and a bottle.

    Returns:
        The image ``(180, 240, 3)`` uint8 and the visible boxes ``(4, 4)`` float32.
    """
    height, width = SCENE_HW
    rows = np.linspace(0.0, 1.0, height)[:, None, None]
    wall, table = np.array([200, 205, 214]), np.array([150, 118, 86])
    image = np.where(rows < 0.4, wall - 30 * rows, table + 30 * rows)
    image = np.ascontiguousarray(np.broadcast_to(image, (height, width, 3)).astype(np.uint8))
    cv2.ellipse(image, (60, 130), (46, 22), 0, 0, 360, (232, 232, 236), -1)
    cv2.ellipse(image, (60, 129), (30, 13), 0, 0, 360, (212, 212, 220), -1)
    cv2.circle(image, (140, 96), 34, (196, 62, 54), -1)
    cv2.circle(image, (130, 84), 9, (226, 128, 118), -1)
    cv2.rectangle(image, (150, 84), (206, 150), (58, 92, 150), -1)
    cv2.rectangle(image, (150, 84), (206, 98), (84, 124, 186), -1)
    cv2.rectangle(image, (30, 58), (50, 118), (52, 120, 72), -1)
    cv2.rectangle(image, (36, 38), (44, 60), (60, 138, 84), -1)
    boxes = [[14, 108, 107, 153], [106, 62, 174, 131], [150, 84, 207, 151], [30, 38, 51, 119]]
    return cv2.GaussianBlur(image, (3, 3), 0.8), np.array(boxes, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A frame of the demo clip, reduced to what a model folder can carry.

    Attributes:
        image_rgb: ``(192, 256, 3)`` uint8, 32 levels of each colour.
        boxes_xyxy: ``(N, 4)`` float32, of what is visible.
        true_amodal: ``(N, 192, 256)`` bool.
        true_visible: Likewise.
    """

    image_rgb: np.ndarray
    boxes_xyxy: np.ndarray
    true_amodal: np.ndarray
    true_visible: np.ndarray


def labelled_frames() -> list[LabelledFrame]:
    """Read the frames of the demo clip that go into a reference.

    Objects that are nearly hidden are left out: what a model says of them is a guess.
    """
    content = json.loads((CLIP / "annotations.json").read_text(encoding="utf-8"))
    ids = {image["frame"]: image["id"] for image in content["images"]}
    with av.open(str(CLIP / "clip.mp4")) as clip:
        pictures = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    found = []
    for number in CLIP_FRAMES:
        objects = [one for one in content["annotations"] if one["image_id"] == ids[number]]
        masks = [
            [_reduced_mask(decode_rle(one[name])) for one in objects]
            for name in ("segmentation", "visible_mask")
        ]
        amodal, visible = np.array(masks[0]), np.array(masks[1])
        seen = mask_areas(visible) >= LEAST_VISIBLE * mask_areas(amodal)
        image = cv2.resize(pictures[number], CLIP_SIZE, interpolation=cv2.INTER_AREA)
        boxes = mask_boxes(visible[seen]).astype(np.float32)
        found.append(LabelledFrame(image & np.uint8(0xF8), boxes, amodal[seen], visible[seen]))
    return found


def _reduced_mask(mask: np.ndarray) -> np.ndarray:
    """Where at least half of a cell is in the mask."""
    share = cv2.resize(mask.astype(np.float32), CLIP_SIZE, interpolation=cv2.INTER_AREA)
    return np.asarray(share >= 0.5)


def make_reference(manifest: ModelManifest, backend: Backend) -> tuple[ReferenceFrame, ...]:
    """Run the scenes through the predictor with the torch model as its engine.

    Args:
        manifest: Of the model folder in the making.
        backend: The model.
    """
    predictor = AmodalPredictor(manifest, backend)
    image, boxes = draw_scene()
    priors = np.zeros((len(boxes), *SCENE_HW), dtype=bool)
    priors[1, 58:136, 100:180] = True  # a coarse region, as a track gives; the others: their box
    frames = [_frame(predictor, image, boxes, priors)]
    # Masks of random weights have nothing to do with the truth.
    known = manifest.trained and manifest.source.get("random_weights") is not True
    for labelled in labelled_frames() if known else []:
        priors = np.zeros(labelled.true_amodal.shape, dtype=bool)
        frame = _frame(predictor, labelled.image_rgb, labelled.boxes_xyxy, priors)
        frames.append(
            replace(frame, true_amodal=labelled.true_amodal, true_visible=labelled.true_visible)
        )
    return tuple(frames)


def _frame(
    predictor: AmodalPredictor, image: np.ndarray, boxes: np.ndarray, priors: np.ndarray
) -> ReferenceFrame:
    given = [mask if mask.any() else None for mask in priors]
    found = predictor.predict(predictor.encode(image), boxes, given)
    return ReferenceFrame(
        image, boxes, priors, found.raw_amodal_masks, found.visible_masks, found.predicted_iou
    )
