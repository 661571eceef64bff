# SPDX-License-Identifier: Apache-2.0
"""A recording as the demo camera's source: its images, and the boxes recorded with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.frames import BagFrames, RecordedFrame, index_frames
from amodal_ros.ros.bag.reader import Bag
from amodal_ros.ros.bag.topics import box_topic, has_boxes, image_topic, topics_in_words
from amodal_ros.ros.convert.box_plan import BoxPlan, PromptBox
from amodal_ros.ros.convert.compressed import message_to_rgb
from amodal_ros.ros.convert.detections import detections_from_message
from amodal_ros.ros.demo.sources import FrameSource, SourceInfo, TimedPicture

_ASSUMED_FRAME_RATE = 12.0


class BagSource(FrameSource):
    """The images of a recording, at the times of their stamps.

    Args:
        path: of the recording.
        images: its topic of images; None: the only one.
        boxes: its topic of boxes; None: the only one.
        given: boxes come from elsewhere, those of the recording are not looked for.

    Raises:
        InvalidInputError: nothing can be read, a topic is missing or must be chosen, or there are
            no boxes.
    """

    def __init__(self, path: Path, images: str | None, boxes: str | None, given: bool) -> None:
        self._boxes: dict[int, list[PromptBox]] = {}
        bag = Bag(path)
        topic = image_topic(bag, images)
        if not given and boxes is None and not has_boxes(bag):
            raise InvalidInputError(
                f"no boxes are recorded in {path} ({topics_in_words(bag)}): say where the objects "
                "are with --box x0,y0,x1,y1 (pixels of the first image) or --boxes FILE"
            )
        found = None if given else box_topic(bag, boxes)
        self._frames = index_frames(bag, topic, found)
        if bag.damage:
            print(f"{path}: {bag.damage}; the rest is played", file=sys.stderr)
        first = next(self.timed_frames(), None)
        if first is None:
            raise InvalidInputError(f"{path}: {_why_none(self._frames)}")
        height, width = first[1].shape[:2]
        self.info = SourceInfo(path.stem, (height, width), _rate(self._frames), len(self._frames))

    def recorded_boxes(self) -> BoxPlan:
        """The recorded boxes by frame; those of a frame are there once it was given out."""
        return BoxPlan(self._boxes)

    def timed_frames(self) -> Iterator[TimedPicture]:
        """Gives the pictures at the times of their stamps; what cannot be read is left out."""
        started_ns, last_s, number = None, -1e-3, 0
        for frame in self._frames:
            try:
                picture = message_to_rgb(frame.image)
            except InvalidInputError as error:
                self._frames.unreadable.append(f"frame {frame.number}: {error}")
                continue
            started_ns = frame.stamp_ns if started_ns is None else started_ns
            # Where stamps went back, the picture follows a millisecond later.
            last_s = max((frame.stamp_ns - started_ns) / 1e9, last_s + 1e-3)
            self._boxes[number] = _prompts(frame, picture.shape[:2])
            yield last_s, picture
            number += 1


def _prompts(frame: RecordedFrame, image_hw: tuple[int, ...]) -> list[PromptBox]:
    """The usable boxes of a frame, as the node would read them."""
    if frame.boxes is None:
        return []
    found = detections_from_message(frame.boxes, (image_hw[0], image_hw[1])).detections
    rows = zip(found.boxes_xyxy.tolist(), found.detection_ids, found.class_ids, strict=True)
    return [
        PromptBox((box[0], box[1], box[2], box[3]), identity, kind, float(score))
        for (box, identity, kind), score in zip(rows, found.scores, strict=True)
    ]


def _rate(frames: BagFrames) -> float:
    """Pictures per second, on average."""
    stamps = [stamp_ns for stamp_ns in frames.stamps_ns() if stamp_ns]
    passed_s = (max(stamps) - min(stamps)) / 1e9 if stamps else 0.0
    return (len(stamps) - 1) / passed_s if passed_s > 0 else _ASSUMED_FRAME_RATE


def _why_none(frames: BagFrames) -> str:
    first = frames.unreadable[0] if frames.unreadable else "it holds none"
    return f"no image on {frames.images.name} can be read ({first})"
