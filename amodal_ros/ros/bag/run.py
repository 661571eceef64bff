# SPDX-License-Identifier: Apache-2.0
"""One run over a recording: reads frames, has them answered, writes the answers."""

from __future__ import annotations

import heapq
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from time import monotonic

from amodal_ros.errors import AmodalError, InvalidInputError
from amodal_ros.files import whole_file
from amodal_ros.ros.bag.checkpoint import Checkpoints, Progress
from amodal_ros.ros.bag.frames import BagFrames, RecordedFrame
from amodal_ros.ros.bag.offline import REREAD_FRAMES, OfflineCamera
from amodal_ros.ros.bag.reader import Bag
from amodal_ros.ros.bag.storage import BagTopic
from amodal_ros.ros.bag.writer import BagWriter
from amodal_ros.ros.convert.masks import amodal_boxes_message
from amodal_ros.ros.outputs.frame_3d import Frame3D
from amodal_ros.ros.outputs.publishers import FrameAnswer

# So much work is lost at most by a kill.
_SAVE_EVERY_S = 20.0


@dataclass(frozen=True)
class AnswerTopics:
    """Names of the topics that are written."""

    masks: str
    boxes: str
    boxes_3d: str
    box_markers: str

    @classmethod
    def within(cls, namespace: str) -> AnswerTopics:
        """The node's names in a namespace; empty: in none."""
        prefix = f"/{namespace.strip('/')}" if namespace.strip("/") else ""
        names = "masks", "detections", "detections_3d", "box_markers"
        return cls(*(f"{prefix}/amodal/{name}" for name in names))

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (self.masks, self.boxes, self.boxes_3d, self.box_markers)


class BagRun:
    """Answers the frames of a recording, from where an earlier run was interrupted."""

    def __init__(
        self,
        frames: BagFrames,
        checkpoints: Checkpoints,
        progress: Progress,
        topics: AnswerTopics,
    ) -> None:
        self._frames = frames
        self._checkpoints = checkpoints
        self.progress = progress
        self._topics = topics
        self._counts_before = Counter(progress.counts)
        self._stopping = False

    def stop(self, *_: object) -> None:
        """Handles a signal: ends the run after the frame in work; a second one ends it at once."""
        if self._stopping:
            raise KeyboardInterrupt
        self._stopping = True

    def total(self, limit: int | None = None) -> int:
        """Number of frames to answer, earlier ones included; `limit`: at most so many."""
        return min(len(self._frames), limit or len(self._frames))

    def answer_all(
        self, camera: OfflineCamera, on_frame: Callable[[int], object], limit: int | None = None
    ) -> bool:
        """Answers all frames that are left; returns False if `stop` was called meanwhile.

        Args:
            camera: answers; with the tracks of `progress`.
            on_frame: told after each frame how many are done.
            limit: answer no frame from this number on; None: all.

        Raises:
            AmodalError: the engine failed; what was done is kept.
            OSError: the answers cannot be written.
        """
        done = self.progress.frames
        total = self.total(limit)
        frames = takewhile(lambda frame: frame.number < total, self._frames)
        segment, saved_s = BagWriter(io.BytesIO()), monotonic()
        for frame in self._after_reread(frames, camera, done) if done else frames:
            if self._stopping:
                self._save(camera, segment)
                return False
            try:
                answer = camera.answer(frame)
            except AmodalError:
                self._save(camera, segment)
                raise
            if answer is not None:
                self._write(segment, frame, answer, camera.frame_3d)
            self.progress.frames = frame.number + 1
            on_frame(self.progress.frames)
            if monotonic() - saved_s >= _SAVE_EVERY_S:
                self._save(camera, segment)
                segment, saved_s = BagWriter(io.BytesIO()), monotonic()
        self.progress.frames = max(done, total)  # the last ones may be unreadable
        self._save(camera, segment)
        return True

    def write_result(self, out: Path, copied: list[BagTopic], notes: dict[str, str]) -> None:
        """Writes the answers, with topics of the recording between them, and ends the run.

        Raises:
            OSError: it cannot be written.
        """
        # It may be damaged where neither images nor boxes are.
        self._frames.bag.salvaged(lambda: self._write_file(out, copied, notes))
        self._checkpoints.remove()

    def _write_file(self, out: Path, copied: list[BagTopic], notes: dict[str, str]) -> None:
        with whole_file(out) as unfinished, unfinished.open("wb") as file:
            writer = BagWriter(file, notes)
            originals = self._originals(copied)
            for _, log_ns, topic, data in heapq.merge(
                originals, self._answers(), key=lambda entry: entry[:2]
            ):
                writer.write(topic, log_ns, data)
            writer.finish()

    def _after_reread(
        self, frames: Iterator[RecordedFrame], camera: OfflineCamera, done: int
    ) -> Iterator[RecordedFrame]:
        first: list[RecordedFrame] = []

        def seen() -> Iterator[RecordedFrame]:
            for frame in frames:
                if frame.number >= done:
                    first.append(frame)
                    return
                if frame.number >= done - REREAD_FRAMES:
                    yield frame

        camera.reread(seen())
        yield from first
        yield from frames

    def _save(self, camera: OfflineCamera, segment: BagWriter[io.BytesIO]) -> None:
        self.progress.tracker = camera.tracker
        self.progress.counts = dict(self._counts_before + Counter(camera.counts()))
        self._checkpoints.save(self.progress, segment.finish().getvalue())

    def _write(
        self,
        writer: BagWriter,
        frame: RecordedFrame,
        answer: FrameAnswer,
        frame_3d: Frame3D | None,
    ) -> None:
        boxes = amodal_boxes_message(answer.objects, answer.masks.header)
        writer.write_message(self._topics.masks, frame.log_ns, answer.masks)
        writer.write_message(self._topics.boxes, frame.log_ns, boxes)
        self.progress.answered += 1
        self.progress.objects += len(answer.masks.masks)
        if frame_3d is not None:
            writer.write_message(self._topics.boxes_3d, frame.log_ns, frame_3d.boxes)
            writer.write_message(self._topics.box_markers, frame.log_ns, frame_3d.markers)
            self.progress.located += 1

    def _originals(self, copied: list[BagTopic]) -> Iterator[tuple[int, int, BagTopic, bytes]]:
        topics = {topic.name: topic for topic in copied}
        for message in self._frames.bag.messages(topics) if topics else ():
            yield message.log_ns, message.log_ns, topics[message.topic], message.data

    def _answers(self) -> Iterator[tuple[int, int, BagTopic, bytes]]:
        """Times rise for the merging even where images were put in order."""
        last_ns = 0
        for segment in self._checkpoints.segments(self.progress):
            with Bag(segment) as bag:
                topics = {topic.name: topic for topic in bag.topics}
                for message in bag.messages(self._topics.names):
                    last_ns = max(last_ns, message.log_ns)
                    yield last_ns, message.log_ns, topics[message.topic], message.data


def topics_to_copy(bag: Bag, wanted: list[str], written: AnswerTopics) -> list[BagTopic]:
    """The topics that `--copy` names.

    Args:
        bag: the recording.
        wanted: names, or `all` or `none` alone.
        written: topics of the answers, which replace those of the recording.

    Raises:
        InvalidInputError: a name is of no topic.
    """
    known = {topic.name: topic for topic in bag.topics}
    if wanted in ([], ["none"]):
        return []
    names = list(known) if wanted == ["all"] else [f"/{name.lstrip('/')}" for name in wanted]
    missing = [name for name in names if name not in known]
    if missing:
        raise InvalidInputError(
            f"--copy {missing[0]}: {bag.path} has no such topic, expected all, none or some of "
            f"{', '.join(known)}"
        )
    return [known[name] for name in names if name not in written.names]
