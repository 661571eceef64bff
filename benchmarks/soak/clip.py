# SPDX-License-Identifier: Apache-2.0
"""The demo clip with its true visible boxes, replayed for ever."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from amodal_ros.annotations.amodal_coco import load_annotations
from amodal_ros.ros.convert.box_plan import plan_from_annotations
from amodal_ros.ros.demo.sources import CLIP_ANNOTATIONS, CLIP_VIDEO, open_source
from benchmarks.lockstep_camera import Scene

# A slow node sees every n-th frame of a camera. With 5, no divisor of the clip's length, any ten
# frames in a row are spread over the whole clip, and all parts of a run show the same.
_STRIDE = 5


def replayed_clip(objects: int) -> Iterator[Scene]:
    """Every fifth frame of the clip, over and over, so that in five rounds each was there.

    Args:
        objects: so many of its objects have a box, where they are not hidden almost wholly.

    Raises:
        InvalidInputError: if the clip cannot be read.
    """
    annotations = load_annotations(CLIP_ANNOTATIONS)
    plan = plan_from_annotations(annotations)
    names = list(dict.fromkeys(record["name"] for record in annotations["annotations"]))[:objects]
    scenes = []
    for index, picture in enumerate(open_source(str(CLIP_VIDEO)).frames()):
        boxes = {prompt.detection_id: prompt.box_xyxy for prompt in plan.of(index)}
        kept = {name: box for name, box in boxes.items() if name in names}
        scenes.append(Scene(picture, kept))
    return (scenes[number * _STRIDE % len(scenes)] for number in count())
