# SPDX-License-Identifier: Apache-2.0
"""Boxes that stand for a detector's: given by hand, from a file, or from annotations.

A boxes file is JSON. Frames count from 0; a frame that is not named has no boxes; `box` is
x0, y0, x1, y1 in pixels; `id`, `class` and `score` may be left out:

    {"frames": [{"frame": 0, "boxes": [
        {"box": [10, 20, 110, 220], "id": "cup1", "class": "cup", "score": 0.9}]}]}
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from amodal_ros.errors import InvalidInputError

# Of an object that is hidden further than this, a detector would find nothing.
LEAST_VISIBLE_SHARE = 0.1


@dataclass(frozen=True)
class PromptBox:
    """One box of one frame, in pixels of the picture."""

    box_xyxy: tuple[float, float, float, float]
    detection_id: str = ""
    class_id: str = ""
    score: float = 1.0


@dataclass(frozen=True)
class BoxPlan:
    """Boxes by frame index; where an index is missing, the frame has none."""

    frames: Mapping[int, Sequence[PromptBox]] = field(default_factory=dict)

    def of(self, frame: int) -> Sequence[PromptBox]:
        """Boxes of one frame."""
        return self.frames.get(frame, ())

    def check_inside(self, image_hw: tuple[int, int]) -> None:
        """Refuses boxes that do not touch the picture.

        Raises:
            InvalidInputError: naming frame, box and picture size.
        """
        for frame in self.frames:
            self.check_frame(frame, image_hw)

    def check_frame(self, frame: int, image_hw: tuple[int, ...]) -> None:
        """Refuses boxes of one frame that do not touch its picture.

        Raises:
            InvalidInputError: naming frame, box and picture size.
        """
        height, width = image_hw
        for prompt in self.of(frame):
            x0, y0, x1, y1 = prompt.box_xyxy
            if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
                raise InvalidInputError(
                    f"box {_text(prompt.box_xyxy)} of frame {frame} lies outside the "
                    f"picture of {width}x{height} pixels"
                )

    def check_used(self, played: int) -> None:
        """Refuses boxes that are all of frames which are not played: no object would be found.

        Args:
            played: Number of frames, from frame 0 on.

        Raises:
            InvalidInputError: naming the boxes' frames and those that are played.
        """
        named = sorted(frame for frame, boxes in self.frames.items() if boxes)
        if named and played and named[0] >= played:
            raise InvalidInputError(
                f"all boxes are of frames from {named[0]} on, but only {played} frames are "
                f"played, 0 to {played - 1}"
            )


def parse_box(text: str) -> tuple[float, float, float, float]:
    """Reads `x0,y0,x1,y1`.

    Raises:
        InvalidInputError: The text is no such box.
    """
    try:
        numbers = [float(piece) for piece in text.split(",")]
    except ValueError:
        numbers = []
    return checked_box(numbers or text, "--box")


def checked_box(value: Any, place: str) -> tuple[float, float, float, float]:
    """Checks four finite numbers with x0 < x1 and y0 < y1.

    Raises:
        InvalidInputError: naming `place`, what came and what was expected.
    """
    numbers = value if isinstance(value, (list, tuple)) else ()
    good = len(numbers) == 4 and all(_is_number(number) for number in numbers)
    if not good or not (numbers[0] < numbers[2] and numbers[1] < numbers[3]):
        raise InvalidInputError(
            f"{place}: got {_text(value)}, expected x0,y0,x1,y1 in pixels with x0 < x1, y0 < y1"
        )
    x0, y0, x1, y1 = (float(number) for number in numbers)
    return x0, y0, x1, y1


def first_frame_boxes(boxes: Iterable[tuple[float, float, float, float]]) -> BoxPlan:
    """Boxes given by hand: on the first frame only, named `box1`, `box2`, and so on."""
    prompts = [
        PromptBox(box, detection_id=f"box{number}") for number, box in enumerate(boxes, start=1)
    ]
    return BoxPlan({0: prompts} if prompts else {})


def load_boxes(path: Path) -> BoxPlan:
    """Reads a boxes file (format: see the top of this module).

    Raises:
        InvalidInputError: naming the file and the faulty entry.
    """
    data = _load_json(path)
    entries = data.get("frames") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise InvalidInputError(f'{path}: expected an object with a list "frames"')
    frames: dict[int, list[PromptBox]] = {}
    for position, entry in enumerate(entries):
        place = f"{path}: frames[{position}]"
        index, boxes = _frame_entry(entry, place)
        if index in frames:
            raise InvalidInputError(f"{place}: frame {index} is there twice")
        frames[index] = [
            _prompt(box, f"{place}.boxes[{number}]") for number, box in enumerate(boxes)
        ]
    if not any(frames.values()):
        raise InvalidInputError(f"{path}: the file holds no box")
    return BoxPlan(frames)


def plan_from_annotations(annotations: Mapping[str, Any]) -> BoxPlan:
    """True visible boxes of an `amodal_coco` clip; objects hidden almost wholly have none.

    Args:
        annotations: The parsed file; `visible_bbox`, `visible_mask`, `area` and `name` are used.
    """
    # pycocotools has no rosdep key, and recordings on a robot need none of it.
    from amodal_ros.image.rle import decode_rle

    names = {category["id"]: category["name"] for category in annotations["categories"]}
    index_of = {image["id"]: image["frame"] for image in annotations["images"]}
    frames: dict[int, list[PromptBox]] = {index: [] for index in index_of.values()}
    for record in annotations["annotations"]:
        visible = int(decode_rle(record["visible_mask"]).sum())
        if visible < LEAST_VISIBLE_SHARE * record["area"]:
            continue
        x, y, width, height = record["visible_bbox"]
        box = (float(x), float(y), float(x + width), float(y + height))
        prompt = PromptBox(box, record["name"], names[record["category_id"]])
        frames[index_of[record["image_id"]]].append(prompt)
    return BoxPlan(frames)


def detections_message(boxes: Sequence[PromptBox], header: Header) -> Detection2DArray:
    """Boxes as a detector publishes them."""
    message = Detection2DArray(header=header)
    for prompt in boxes:
        x0, y0, x1, y1 = prompt.box_xyxy
        detection = Detection2D(header=header, id=prompt.detection_id)
        detection.bbox.center.position.x = (x0 + x1) / 2
        detection.bbox.center.position.y = (y0 + y1) / 2
        detection.bbox.size_x, detection.bbox.size_y = x1 - x0, y1 - y0
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = prompt.class_id
        hypothesis.hypothesis.score = prompt.score
        detection.results = [hypothesis]
        message.detections.append(detection)
    return message


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error}") from error
    except ValueError as error:
        raise InvalidInputError(f"{path} is not JSON: {error}") from error


def _frame_entry(entry: Any, place: str) -> tuple[int, list[Any]]:
    index = entry.get("frame") if isinstance(entry, dict) else None
    if type(index) is not int or index < 0:
        raise InvalidInputError(f'{place}: got {entry!r}, expected "frame": a number from 0 on')
    boxes = entry.get("boxes")
    if not isinstance(boxes, list):
        raise InvalidInputError(f'{place}: got "boxes": {boxes!r}, expected a list')
    return index, boxes


def _prompt(entry: Any, place: str) -> PromptBox:
    if not isinstance(entry, dict):
        raise InvalidInputError(f'{place}: got {entry!r}, expected {{"box": [x0, y0, x1, y1]}}')
    unknown = sorted(set(entry) - {"box", "id", "class", "score"})
    if unknown:
        raise InvalidInputError(f"{place}: unknown key {unknown[0]!r}")
    score = entry.get("score", 1.0)
    if not _is_number(score) or not 0.0 <= score <= 1.0:
        raise InvalidInputError(f"{place}: got score {score!r}, expected a number from 0 to 1")
    return PromptBox(
        box_xyxy=checked_box(entry.get("box"), place),
        detection_id=str(entry.get("id", "")),
        class_id=str(entry.get("class", "")),
        score=float(score),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and type(value) is not bool and math.isfinite(value)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(f"{number:g}" for number in value)
    return repr(value)
