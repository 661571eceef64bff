# SPDX-License-Identifier: Apache-2.0
"""What is going to be played: source and boxes, checked before anything is started."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from amodal_ros.annotations.amodal_coco import load_annotations
from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.reader import is_bag
from amodal_ros.ros.convert.box_plan import (
    BoxPlan,
    first_frame_boxes,
    load_boxes,
    parse_box,
    plan_from_annotations,
)
from amodal_ros.ros.demo.bag_source import BagSource
from amodal_ros.ros.demo.sources import (
    CLIP_ANNOTATIONS,
    CLIP_VIDEO,
    FolderSource,
    FrameSource,
    VideoSource,
    expected_count,
    open_source,
)

NO_BOX_MESSAGE = (
    "no box is given for this source: say where the objects are with --box x0,y0,x1,y1 (pixels "
    "of the first frame; repeat it for more objects) or with --boxes FILE (JSON, boxes of every "
    "frame)"
)


@dataclass(frozen=True)
class Stage:
    """What is going to be played.

    Attributes:
        source: Opened and looked at.
        plan: Boxes by frame.
        annotations: True masks, where the boxes are the true ones of the default clip; else None.
        given: The objects of the first frame are given to the node by hand, there is no detector.
        frame_count: Number of frames that will be played; None: not known.
    """

    source: FrameSource
    plan: BoxPlan
    annotations: Path | None
    given: bool
    frame_count: int | None


def load_stage(arguments: argparse.Namespace) -> Stage:
    """Opens the source and reads the boxes.

    Raises:
        InvalidInputError: Something is missing or wrong; the message says what was expected.
    """
    if arguments.box and arguments.boxes:
        raise InvalidInputError("--box and --boxes exclude each other: give one of them")
    annotations: Path | None = None
    source = _open(arguments)
    if arguments.boxes is not None:
        plan = load_boxes(arguments.boxes)
    elif arguments.box:
        plan = first_frame_boxes(map(parse_box, arguments.box))
    elif isinstance(source, BagSource):
        plan = source.recorded_boxes()
    elif arguments.source is None:
        annotations = CLIP_ANNOTATIONS
        plan = plan_from_annotations(load_annotations(CLIP_ANNOTATIONS))
    else:
        raise InvalidInputError(NO_BOX_MESSAGE)
    if isinstance(source, FolderSource):  # whose pictures may differ in size
        plan.check_frame(0, source.info.image_hw)
    else:
        plan.check_inside(source.info.image_hw)
    frame_count = expected_count(source, arguments.frames)
    if frame_count is not None:
        plan.check_used(frame_count)
    return Stage(source, plan, annotations, bool(arguments.box), frame_count)


def _open(arguments: argparse.Namespace) -> FrameSource:
    if arguments.source is None:
        source: FrameSource = VideoSource(CLIP_VIDEO)
    elif is_bag(path := Path(arguments.source).expanduser()):
        given = bool(arguments.box or arguments.boxes)
        if given and arguments.detections_topic is not None:
            raise InvalidInputError(
                "--detections-topic names recorded boxes, --box and --boxes are others: give one"
            )
        return BagSource(path, arguments.image_topic, arguments.detections_topic, given)
    else:
        source = open_source(arguments.source)
    for option in ("image_topic", "detections_topic"):
        if getattr(arguments, option) is not None:
            raise InvalidInputError(
                f"--{option.replace('_', '-')} is for recordings: {arguments.source} is none"
            )
    return source
