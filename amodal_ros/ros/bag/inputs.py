# SPDX-License-Identifier: Apache-2.0
"""The recording, boxes and depth that a command line names, opened and indexed."""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.depth import RecordedDepth
from amodal_ros.ros.bag.depth_topics import depth_topics
from amodal_ros.ros.bag.frames import BagFrames, index_frames
from amodal_ros.ros.bag.reader import Bag, is_bag
from amodal_ros.ros.bag.topics import box_topic, has_boxes, image_topic, topics_in_words
from amodal_ros.ros.convert.box_plan import load_boxes
from amodal_ros.ros.convert.stamps import NS_PER_S
from amodal_ros.ros.parameters.table import PerceptionParameters

_NO_DEPTH = "none"


def open_inputs(arguments: argparse.Namespace, stack: ExitStack) -> BagFrames:
    """The frames of the recording with their boxes.

    Raises:
        InvalidInputError: nothing can be read, a topic is missing or must be chosen, there are no
            boxes, or none belong to any image.
    """
    bag = stack.enter_context(Bag(arguments.source))
    images = image_topic(bag, arguments.image_topic)
    slop_ns = round(arguments.slop * NS_PER_S)
    named = arguments.detections_topic
    if arguments.boxes is not None and is_bag(arguments.boxes):
        other = stack.enter_context(Bag(arguments.boxes))
        frames = index_frames(bag, images, box_topic(other, named), slop_ns, boxes_from=other)
    elif arguments.boxes is not None:
        if named is not None:
            raise InvalidInputError(
                f"--detections-topic is for recordings: --boxes {arguments.boxes} is none"
            )
        frames = index_frames(bag, images, None)
        frames.plan = load_boxes(arguments.boxes)
        frames.plan.check_used(len(frames))
    elif named is None and not has_boxes(bag):
        raise InvalidInputError(
            f"no boxes are recorded in {arguments.source} ({topics_in_words(bag)}): give them "
            "with --boxes, another recording or JSON by frame"
        )
    else:
        frames = index_frames(bag, images, box_topic(bag, named), slop_ns)
    if not len(frames):
        raise InvalidInputError(f"no image can be read on {images.name} of {arguments.source}")
    return frames


def open_depth(
    arguments: argparse.Namespace,
    parameters: PerceptionParameters,
    frames: BagFrames,
    stack: ExitStack,
) -> tuple[RecordedDepth | None, str]:
    """The depth that belongs to the frames, and what was found, in words.

    Returns:
        None where there is no depth, or none that can be used: then nobody asked for 3D.

    Raises:
        InvalidInputError: 3D was asked for by name, and cannot be made.
    """
    given = arguments.depth_topic, arguments.camera_info_topic, arguments.depth_camera_info_topic
    if given[0] == _NO_DEPTH:
        return None, ""
    try:
        topics = depth_topics(frames.bag, frames.images, *given)
        depth = RecordedDepth(frames.bag, topics, parameters.target_frame, arguments.slop, stack)
    except InvalidInputError as error:
        if any(given) or parameters.target_frame:
            raise
        return None, f"no 3D boxes: {error}"
    return depth, topics.finding()
