# SPDX-License-Identifier: Apache-2.0
"""Who hides whom in clips: the tracker follows the objects, each image alone and with memory.

The clips are those of ``python -m benchmarks.tabletop``, with true visible boxes in each frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.occlusion.graph import OcclusionGraph, occlusion_graph
from amodal_ros.occlusion.memory import OcclusionMemory
from benchmarks.common import percent
from benchmarks.occlusion.scenes import (
    LEAST_OVERLAP_PX,
    OcclusionScene,
    TruePair,
    true_occluders,
)
from benchmarks.occlusion.scores import OrderScore
from benchmarks.tracking.clips import ClipFrame, ClipSource
from benchmarks.tracking.detector import FaultyDetector, FoundBoxes
from benchmarks.tracking.segmenters import asking
from benchmarks.tracking.variants import Feedback, FrameAnswer

ALONE, REMEMBERED = "each image alone", "with earlier images"


@dataclass
class ClipOrderScore:
    """Counts over the frames of clips.

    Attributes:
        order: of the pairs of each frame.
        changes: from one frame to the next, of the order of two tracks.
        visible_iou: of each object in each frame, what is seen of it by the graph with the truth.
    """

    order: OrderScore = field(default_factory=OrderScore)
    changes: int = 0
    visible_iou: list[float] = field(default_factory=list)
    _fronts: dict[frozenset[int], int] = field(default_factory=dict)

    def add(self, scene: OcclusionScene, track_ids: Sequence[int], graph: OcclusionGraph) -> None:
        """Count a frame; tracks and the graph's objects are in the scene's order."""
        self.order.add(scene, graph)
        for seen, true in zip(graph.visible, scene.visible, strict=True):
            self.visible_iou.append(seen.iou(CroppedMask.of(true)))
        fronts = {frozenset((one.front, one.back)): one.front for one in graph.pairs}
        for pair in scene.pairs:
            front = fronts.get(frozenset((pair.front, pair.back)))
            if front is None:
                continue
            key = frozenset((track_ids[pair.front], track_ids[pair.back]))
            self.changes += self._fronts.get(key, track_ids[front]) != track_ids[front]
            self._fronts[key] = track_ids[front]

    def end_clip(self) -> None:
        """Track ids begin anew."""
        self._fronts.clear()

    def as_dict(self) -> dict[str, Any]:
        """Those of the order, the changes, and the mean IoU of what is seen, in percent."""
        seen = percent(self.visible_iou)
        return {**self.order.as_dict(), "changes": self.changes, "visible_iou": seen}


def measure_clips(
    sources: Sequence[ClipSource], predictor: AmodalPredictor
) -> Iterator[Mapping[str, ClipOrderScore]]:
    """Follow the objects of one clip after another.

    Yields:
        After each clip the scores of all so far: `ALONE` and `REMEMBERED`.

    Raises:
        AmodalError: a clip cannot be read.
    """
    scores = {name: ClipOrderScore() for name in (ALONE, REMEMBERED)}
    for source in sources:
        followed, memory = Feedback(), OcclusionMemory()
        detector = FaultyDetector(0.0, 0.0, 0, source.number)
        for frame in source.frames():
            found = detector.look(frame)
            answer = followed.answer(frame, found.detections, asking(predictor, frame))
            scene, rows = _matched(frame, found, answer)
            track_ids = [int(answer.track_ids[row]) for row in rows]
            visible = [CroppedMask.of(answer.visible_masks[row]) for row in rows]
            amodal = [CroppedMask.of(answer.amodal_masks[row]) for row in rows]
            scores[ALONE].add(scene, track_ids, occlusion_graph(visible, amodal))
            graph = memory.graph(track_ids, visible, amodal, frame.stamp_s)
            scores[REMEMBERED].add(scene, track_ids, graph)
        for score in scores.values():
            score.end_clip()
        yield scores


def _matched(
    frame: ClipFrame, found: FoundBoxes, answer: FrameAnswer
) -> tuple[OcclusionScene, list[int]]:
    """The objects of a frame that a box shows, and their rows in the answer.

    Of others it is not known which they are: a track may have passed to another object.
    """
    true, rows = [], []
    for row, box in enumerate(answer.detections):
        if box < 0 or not answer.amodal_masks[row].any():
            continue
        one = frame.objects[found.owners[box]]
        if one.amodal_mask is not None:
            true.append(one)
            rows.append(row)
    shape = (len(true), *frame.hw)
    visible = np.array([one.visible_mask for one in true], bool).reshape(shape)
    amodal = np.array([one.amodal_mask for one in true], bool).reshape(shape)
    scene = OcclusionScene(
        image=frame.image_rgb,
        depth_m=np.full(frame.hw, np.nan, np.float32),
        visible=visible,
        amodal=amodal,
        pairs=seen_pairs(visible, amodal),
        occluders=true_occluders(visible, amodal),
    )
    return scene, rows


def seen_pairs(visible: NDArray[np.bool_], amodal: NDArray[np.bool_]) -> tuple[TruePair, ...]:
    """The pairs of which it is seen who lies in front: that of which more is seen in the overlap.

    Pairs whose overlap something else covers but for fewer than `LEAST_OVERLAP_PX` pixels are left
    out.

    Args:
        visible: (N, H, W) bool.
        amodal: (N, H, W) bool.
    """
    found = []
    for first, second in combinations(range(len(amodal)), 2):
        overlap = amodal[first] & amodal[second]
        own, other = (int(np.count_nonzero(overlap & visible[k])) for k in (first, second))
        if max(own, other) < LEAST_OVERLAP_PX:
            continue
        front, back = (first, second) if own >= other else (second, first)
        woven = 10 * min(own, other) >= own + other
        found.append(TruePair(front, back, int(np.count_nonzero(overlap)), woven))
    return tuple(found)
