# SPDX-License-Identifier: Apache-2.0
"""The depth of a recording: read beside its frames, each image's when that image is answered."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import ExitStack

from sensor_msgs.msg import CameraInfo

from amodal_ros.depth.camera import RigidTransform
from amodal_ros.ros.bag.definitions import installed_decoder
from amodal_ros.ros.bag.depth_topics import INFO, DepthTopics
from amodal_ros.ros.bag.frames import RecordedFrame
from amodal_ros.ros.bag.reader import Bag
from amodal_ros.ros.bag.recorded_transforms import RecordedTransforms
from amodal_ros.ros.bag.stamp_order import StampOrder, read_in_order
from amodal_ros.ros.bag.storage import BagTopic
from amodal_ros.ros.convert.stamps import NS_PER_S, stamp_to_ns
from amodal_ros.ros.inputs.depth_source import DepthImage

_STAMP = slice(4, 12)  # of a message's bytes that begins with a header


class RecordedDepth:
    """The `DepthSource` of a recording. `show` each frame before it is asked for.

    Args:
        recording: what images are read from; it is opened anew, for each has its own place in it.
        topics: of depth and intrinsics.
        target_frame: of what is published; empty: the image's.
        slop_s: largest difference of the stamps of an image and its depth.
        stack: closes what is opened.

    Raises:
        InvalidInputError: nothing can be read.
    """

    def __init__(
        self,
        recording: Bag,
        topics: DepthTopics,
        target_frame: str,
        slop_s: float,
        stack: ExitStack,
    ) -> None:
        self._bag, of_transforms = (stack.enter_context(Bag(recording.path)) for _ in range(2))
        if recording.damage:
            self._bag.salvage()
            of_transforms.salvage()
        self.topics = topics
        self.target_frame = target_frame
        self.separate = topics.depth_info is not None
        self._slop_ns = round(slop_s * NS_PER_S)
        self._infos = _Intrinsics(self._bag, topics.info)
        self._depth_infos = (
            None if topics.depth_info is None else _Intrinsics(self._bag, topics.depth_info)
        )
        self._images = _DepthImages(self._bag, topics.depth)
        self._transforms = RecordedTransforms(of_transforms)
        self._frame: RecordedFrame | None = None
        self._why = ""

    @property
    def damage(self) -> str:
        """What is wrong with the recording, in words; empty: nothing was found."""
        return self._bag.damage or self._transforms.damage

    def show(self, frame: RecordedFrame) -> None:
        """Go on to a frame; numbers rise."""
        self._frame = frame
        self._transforms.advance(frame.log_ns)

    @property
    def info(self) -> CameraInfo | None:
        """See `DepthSource`; before the first was recorded, that one."""
        return self._infos.at(self._log_ns)

    @property
    def depth_info(self) -> CameraInfo | None:
        """See `DepthSource`."""
        return None if self._depth_infos is None else self._depth_infos.at(self._log_ns)

    def at(self, stamp_ns: int) -> DepthImage | None:
        """See `DepthSource`; of the frame that was shown."""
        frame = self._frame
        if frame is None or not stamp_to_ns(frame.image.header.stamp):
            self._why = "the image has no stamp: its driver must stamp it"
            return None
        found, self._why = self._images.nearest(frame.run, stamp_ns, self._slop_ns)
        return found

    def why_no_depth(self, stamp_ns: int) -> str:
        """See `DepthSource`."""
        return self._why

    def why_no_info(self) -> str:
        """See `DepthSource`."""
        names = [
            infos.name for infos in (self._infos, self._depth_infos) if infos and not len(infos)
        ]
        return f"no intrinsics can be read on {' and '.join(names)} of {self._bag.path}"

    def transform(
        self, target: str, source: str, stamp_ns: int, timeout_s: float
    ) -> tuple[RigidTransform, bool]:
        """See `DepthSource`; late is what was recorded after the image. Nothing is waited for."""
        return self._transforms.lookup(target, source, stamp_ns)

    @property
    def _log_ns(self) -> int:
        return 0 if self._frame is None else self._frame.log_ns


class _Intrinsics:
    """All different ones of a topic, by their time of recording."""

    def __init__(self, bag: Bag, topic: BagTopic) -> None:
        self.name = topic.name
        self._found = bag.salvaged(lambda: list(_changes(bag, topic)))

    def __len__(self) -> int:
        return len(self._found)

    def at(self, log_ns: int) -> CameraInfo | None:
        """The newest at a time, else the first."""
        if not self._found:
            return None
        after = bisect_right(self._found, log_ns, key=lambda entry: entry[0])
        return self._found[max(after - 1, 0)][1]


def _changes(bag: Bag, topic: BagTopic) -> Iterator[tuple[int, CameraInfo]]:
    """Intrinsics that differ from those before; cameras send the same with each image."""
    decode = installed_decoder(INFO)
    before = b""
    for message in bag.messages([topic.name]):
        content = message.data[: _STAMP.start] + message.data[_STAMP.stop :]
        if content == before:
            continue
        try:
            yield message.log_ns, decode(message.data)
        except Exception:  # whatever damaged bytes lead to
            continue
        before = content


class _DepthImages:
    """Depth images by stamp. They are asked for in the order of stamps, and read once."""

    def __init__(self, bag: Bag, topic: BagTopic) -> None:
        self._topic = topic
        self._path = bag.path
        self._decode = installed_decoder(topic.type)
        order = [entry for entry in StampOrder.of(bag, topic.name).entries if entry.stamp_ns]
        self._order = sorted(order, key=lambda entry: (entry.run, entry.stamp_ns))
        self._keys = [(entry.run, entry.stamp_ns) for entry in self._order]
        self._messages = read_in_order(bag, topic.name, self._order)
        self._next, self._data = 0, b""

    def nearest(self, run: int, stamp_ns: int, slop_ns: int) -> tuple[DepthImage | None, str]:
        """The depth image nearest to a stamp within the slop; or None, and why there is none."""
        at = bisect_left(self._keys, (run, stamp_ns))
        near = [k for k in range(max(at - 1, 0), min(at + 1, len(self._keys)))]
        near = [k for k in near if self._keys[k][0] == run]
        if not near:
            return None, f"no depth image on {self._topic.name} of {self._path} has a stamp"
        found = min(near, key=lambda k: abs(self._keys[k][1] - stamp_ns))
        apart_ns = abs(self._keys[found][1] - stamp_ns)
        if apart_ns > slop_ns:
            return None, (
                f"no depth image on {self._topic.name} has the image's stamp, the nearest differs "
                f"by {apart_ns / 1e6:.4g} ms: allow --slop"
            )
        if found < self._next - 1:
            return None, f"images come out of order, {self._topic.name} is read once"
        while self._next <= found:
            _, message = next(self._messages)
            self._next, self._data = self._next + 1, message.data
        try:
            return self._decode(self._data), ""
        except Exception as error:  # whatever damaged bytes lead to
            reason = " ".join(str(error).split())
            return None, f"a depth image on {self._topic.name} cannot be read: {reason}"
