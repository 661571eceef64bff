# SPDX-License-Identifier: Apache-2.0
"""Answers recorded frames by the node's own pipeline, one after the other, none left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from time import monotonic

from vision_msgs.msg import Detection2DArray

from amodal_ros.errors import BackendError
from amodal_ros.ros.bag.depth import RecordedDepth
from amodal_ros.ros.bag.frames import RecordedFrame
from amodal_ros.ros.inputs.camera_inputs import Frame
from amodal_ros.ros.node.frame_pipeline import FramePipeline
from amodal_ros.ros.node.model_host import ModelHost, Predictor
from amodal_ros.ros.outputs.frame_3d import Frame3D, Maker3D, Wanted3D
from amodal_ros.ros.outputs.frame_geometry import DepthFrame
from amodal_ros.ros.outputs.publishers import FrameAnswer
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.watch.faults import FaultLog
from amodal_ros.ros.watch.frame_statistics import FrameStatistics
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject

# Frames before the point where a run goes on, of which the pipeline sees image and boxes again:
# more than any of its doubts about them remembers.
REREAD_FRAMES = 120


class OfflineCamera:
    """A camera of the node without ROS's graph: frames go in by a call, answers come out.

    Args:
        parameters: of the node. There is no robot that waits: each object is looked at in each
            frame, whatever `frame_budget` says.
        make_predictor: loads the model that parameters name.
        warn: told of what is left out or doubtful.
        tracker: goes on with its tracks; None: begin without any.
        depth: of the recording; None: there is none.

    Raises:
        AmodalError: the model cannot be used.
    """

    def __init__(
        self,
        parameters: PerceptionParameters,
        make_predictor: Callable[[PerceptionParameters], Predictor],
        warn: Callable[[str], object],
        tracker: AmodalTracker | None = None,
        depth: RecordedDepth | None = None,
    ) -> None:
        parameters = replace(parameters, frame_budget=0.0, encode_ahead=False)
        self._faults = FaultLog(warn)
        self._host = ModelHost(make_predictor, on_broken=lambda: None)
        self._host.load(parameters)
        self._taken: FrameAnswer | None = None
        self._before: Counter[str] = Counter()
        self._depth = depth
        self._taker_3d = _Taker3D(self._faults)
        self._pipeline = FramePipeline(
            *(self._host, parameters, self, self._taker_3d, FrameStatistics()),
            *(self._faults, tracker),
        )

    @property
    def tracker(self) -> AmodalTracker:
        """The camera's tracks."""
        return self._pipeline.tracker

    def counts(self) -> Mapping[str, int]:
        """Faults, and what 3D lacked, by name; of the frames that were answered here."""
        return Counter(self._faults.counts()) - self._before + Counter(self._taker_3d.counts())

    def reread(self, frames: Iterable[RecordedFrame]) -> None:
        """Shows images and boxes of frames that an earlier run answered; nothing is counted."""
        for frame in frames:
            self._pipeline.begin(self._message(frame))
        self._before = Counter(self._faults.counts())

    def answer(self, frame: RecordedFrame) -> FrameAnswer | None:
        """The answer to a frame; None: its image cannot be read, which is counted.

        Raises:
            AmodalError: the engine failed.
        """
        self._taken = self._taker_3d.taken = None
        self._pipeline.finish(self._pipeline.begin(self._message(frame)))
        return self._taken

    @property
    def frame_3d(self) -> Frame3D | None:
        """What depth added to the last answer; None: nothing, and why is counted."""
        return self._taker_3d.taken

    def publish(
        self, answer: FrameAnswer, waited_ms: dict[str, float], faults: FaultLog
    ) -> dict[str, float]:
        """Takes an answer from the pipeline."""
        self._taken = answer
        timings_ms = {**waited_ms, **answer.timings_ms}
        return {**timings_ms, "total": sum(timings_ms.values())}

    def close(self) -> None:
        """Frees the model."""
        self._pipeline.close()
        self._host.close()

    def model_name(self) -> str:
        """Of the model that answers."""
        predictor = self._host.predictor
        if predictor is None:
            raise BackendError("the model is closed")
        manifest = getattr(predictor, "manifest", None)
        return type(predictor).__name__ if manifest is None else str(manifest.name)

    def _message(self, frame: RecordedFrame) -> Frame:
        """As the node's inputs hand it on; without boxes, as of a detector that found none."""
        boxes = frame.boxes
        if boxes is None:
            boxes = Detection2DArray(header=frame.image.header)
        if self._depth is not None:
            self._depth.show(frame)
        return Frame(frame.stamp_ns, frame.image, boxes, monotonic(), 0.0, self._depth)


class _Taker3D:
    """Makes the node's 3D boxes and markers of a frame, and keeps them."""

    def __init__(self, faults: FaultLog) -> None:
        self._maker = Maker3D(faults)
        self.taken: Frame3D | None = None

    def counts(self) -> Mapping[str, int]:
        return self._maker.counts()

    def publish(self, objects: Sequence[TrackedObject], frame: DepthFrame) -> None:
        wanted = Wanted3D(boxes=True, points=False, markers=True)
        self.taken = self._maker.make(objects, frame, wanted)

    def clear(self) -> None:
        self._maker.clear()
