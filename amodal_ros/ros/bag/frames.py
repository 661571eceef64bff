# SPDX-License-Identifier: Apache-2.0
"""The frames of a recording: every image once, by its stamp, with its boxes.

Two passes: the first looks at stamps alone, so that pairs, order, number and damage are known
before anything is answered; the second reads the images.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.definitions import Decoder, installed_decoder
from amodal_ros.ros.bag.reader import Bag
from amodal_ros.ros.bag.stamp_order import Entry, StampOrder, read_in_order, stamp_or_zero
from amodal_ros.ros.bag.storage import BagMessage, BagTopic
from amodal_ros.ros.bag.topics import boxes_decoder, inner_stamp_ns
from amodal_ros.ros.convert.box_plan import BoxPlan, detections_message


@dataclass(frozen=True, eq=False)
class RecordedFrame:
    """An image of a recording with its boxes.

    Attributes:
        number: from 0 on, in the order of the stamps.
        stamp_ns: of the image; of an image without a stamp when it was recorded.
        log_ns: when it was recorded.
        image: its message.
        boxes: its boxes; None: no message of boxes belongs to it.
        run: counts the times that stamps went back.
    """

    number: int
    stamp_ns: int
    log_ns: int
    image: Image | CompressedImage
    boxes: Detection2DArray | None
    run: int


@dataclass
class FrameCounts:
    """What the first pass found, for people.

    Attributes:
        images: that will be given out.
        repeated: images whose stamp came before; they are left out.
        unstamped: images without a stamp.
        time_jumps: times that stamps went back.
        boxes: messages of boxes.
        without_boxes: images to which none belongs.
        unused_boxes: messages of boxes that belong to no image.
        nearest_ns: smallest distance of an image's stamp to one of boxes that did not match.
    """

    images: int = 0
    repeated: int = 0
    unstamped: int = 0
    time_jumps: int = 0
    boxes: int = 0
    without_boxes: int = 0
    unused_boxes: int = 0
    nearest_ns: int | None = None


@dataclass
class BagFrames:
    """The frames of a recording; made by `index_frames`."""

    bag: Bag
    images: BagTopic
    counts: FrameCounts
    _order: Sequence[Entry]
    _boxes: Mapping[int, bytes]  # by place
    _decode_boxes: Decoder | None
    plan: BoxPlan | None = None  # boxes by number of the frame, in place of recorded ones
    unreadable: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._order)

    def stamps_ns(self) -> list[int]:
        """The stamps of all frames."""
        return [entry.stamp_ns for entry in self._order]

    def findings(self) -> list[str]:
        """What the first pass found, in words: what is answered, and what is not as it should."""
        counts = self.counts
        lines = [f"{self.bag.path}: {self.bag.damage}"] if self.bag.damage else []
        lines.append(f"{counts.images} images on {self.images.name}")
        said = {
            "without boxes of their own": counts.without_boxes if self.plan is None else 0,
            "left out, as their stamp came before": counts.repeated,
            "without a stamp: the time of their recording counts": counts.unstamped,
        }
        lines += [f"{number} images {text}" for text, number in said.items() if number]
        if counts.unused_boxes:
            lines.append(f"{counts.unused_boxes} of {counts.boxes} box messages find no image")
        if counts.time_jumps:
            lines.append(f"stamps go back {counts.time_jumps} times: tracks begin anew there")
        return lines

    def __iter__(self) -> Iterator[RecordedFrame]:
        """Gives every frame; one whose message cannot be read is noted in `unreadable`.

        Raises:
            DamagedBagError: the file changed since it was indexed.
        """
        decode = installed_decoder(self.images.type)  # whose fields never changed
        found = read_in_order(self.bag, self.images.name, self._order)
        for number, (entry, message) in enumerate(found):
            frame = self._frame(number, entry, message, decode)
            if frame is not None:
                yield frame

    def _frame(
        self, number: int, entry: Entry, message: BagMessage, decode: Decoder
    ) -> RecordedFrame | None:
        try:
            image = decode(message.data)
            boxes, found = self._boxes.get(entry.place), None
            if self.plan is not None:
                found = detections_message(self.plan.of(number), image.header)
            elif boxes is not None and self._decode_boxes is not None:
                found = self._decode_boxes(boxes)
        except Exception as error:  # whatever damaged bytes lead to
            self.unreadable.append(f"frame {number}: {' '.join(str(error).split())}")
            return None
        stamp_ns = entry.stamp_ns or message.log_ns
        return RecordedFrame(number, stamp_ns, message.log_ns, image, found, entry.run)


def index_frames(
    bag: Bag,
    images: BagTopic,
    boxes: BagTopic | None,
    slop_ns: int = 0,
    boxes_from: Bag | None = None,
) -> BagFrames:
    """Makes the first pass.

    Args:
        bag: the recording.
        images: its topic of images.
        boxes: the topic of boxes; None: no frame has boxes.
        slop_ns: largest difference of the stamps of an image and its boxes.
        boxes_from: the recording that holds the boxes; None: `bag`.

    Raises:
        InvalidInputError: nothing can be read, or no boxes belong to any image.
    """
    decode = None if boxes is None else boxes_decoder(boxes)
    found: dict[int, bytes] = {}
    unreadable: list[str] = []
    if boxes is not None and decode is not None:
        found = _read_boxes(boxes_from or bag, boxes, decode, unreadable)
    found_order = StampOrder.of(bag, images.name)
    order = found_order.entries
    counts = FrameCounts(
        images=len(order),
        repeated=found_order.repeated,
        unstamped=found_order.unstamped,
        time_jumps=found_order.time_jumps,
        boxes=len(found),
    )
    pairs = _paired(order, found, slop_ns, counts)
    counts.without_boxes = len(order) - len(pairs)
    counts.unused_boxes = len(found) - len(pairs)
    if found and order and not pairs:
        raise InvalidInputError(_never_paired(bag, images, boxes, counts))
    payload = {place: found[stamp] for place, stamp in pairs.items()}
    return BagFrames(bag, images, counts, order, payload, decode, unreadable=unreadable)


def _read_boxes(
    bag: Bag, topic: BagTopic, decode: Decoder, unreadable: list[str]
) -> dict[int, bytes]:
    """Messages of boxes by stamp; of two of a stamp the first counts."""
    messages = bag.salvaged(lambda: list(bag.messages([topic.name])))
    found: dict[int, bytes] = {}
    for message in messages:
        try:
            stamp_ns = stamp_or_zero(message.data) or inner_stamp_ns(decode(message.data))
        except InvalidInputError as error:
            unreadable.append(" ".join(str(error).split()))
            continue
        if stamp_ns:
            found.setdefault(stamp_ns, message.data)
    return found


def _paired(
    order: Sequence[Entry], boxes: Mapping[int, bytes], slop_ns: int, counts: FrameCounts
) -> dict[int, int]:
    """The stamp of the boxes of each image, by its place: equal ones, else the nearest in slop."""
    stamps = sorted(boxes)
    closest: dict[int, tuple[int, int]] = {}  # as in the node, boxes belong to one image
    for entry in order:
        if not entry.stamp_ns or not stamps:
            continue
        at = bisect_left(stamps, entry.stamp_ns)
        near = min(stamps[max(at - 1, 0) : at + 1], key=lambda s: abs(s - entry.stamp_ns))
        apart = abs(near - entry.stamp_ns)
        if apart <= slop_ns:
            other = closest.get(near)
            if other is None or apart < other[0]:
                closest[near] = (apart, entry.place)
        elif counts.nearest_ns is None or apart < counts.nearest_ns:
            counts.nearest_ns = apart
    return {place: stamp for stamp, (_, place) in closest.items()}


def _never_paired(bag: Bag, images: BagTopic, boxes: BagTopic | None, counts: FrameCounts) -> str:
    name = "" if boxes is None else boxes.name
    text = f"no message on {name} has the stamp of an image on {images.name} of {bag.path}"
    if counts.nearest_ns is None:
        return f"{text}: no image has a stamp"
    seconds = -(-counts.nearest_ns // 1_000_000) / 1000
    return f"{text}: the nearest two are {seconds:g} s apart; --slop allows a difference"
