# SPDX-License-Identifier: Apache-2.0
"""Brings images and their detections together by stamp: pure Python, bounded, counted.

``message_filters`` is not used: its approximate synchroniser holds pairs back and stalls with a
long queue and a slow callback.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.watch.faults import Doubt, Fault, FaultLog

ImageT = TypeVar("ImageT")
DetectionsT = TypeVar("DetectionsT")

# An image that is older than the newest by more than this, or the third older one in a row: time
# went backwards (a bag starts again, the clock was set). Less is disorder on the way.
_DISORDER_NS = 1_000_000_000
_LATE_IMAGES_IN_A_ROW = 3
_REMEMBERED_STAMPS = 256
_LARGEST_SLOP_NS = 500_000_000
# So many images and box messages in a row without a partner are no accident.
_UNPAIRED_IN_A_ROW = 5


@dataclass(frozen=True)
class PairerConfig:
    """How images and detections are matched.

    Attributes:
        slop_ns: largest difference of stamps in nanoseconds; 0: they must be equal.
        queue_size: so many images, and as many detection messages, wait for their partner.
        timeout_s: a detection message that waited so long is given up, in seconds.
    """

    slop_ns: int = 0
    queue_size: int = 10
    timeout_s: float = 2.0

    def __post_init__(self) -> None:
        if self.slop_ns < 0 or self.queue_size < 1 or not self.timeout_s > 0:
            raise InvalidInputError(
                "expected slop_ns >= 0, queue_size >= 1 and timeout_s > 0, got "
                f"{self.slop_ns}, {self.queue_size}, {self.timeout_s}"
            )


@dataclass(frozen=True)
class FramePair(Generic[ImageT, DetectionsT]):
    """An image with its detections, and when the image was received (the caller's clock)."""

    stamp_ns: int
    image: ImageT
    detections: DetectionsT
    image_received_s: float


class FramePairer(Generic[ImageT, DetectionsT]):
    """Matches one image with one detection message: equal stamps first, else the nearest in slop.

    Both kinds may come late, twice and in any order. A pair older than one that was already
    handed out is dropped, since tracks only go forward. All losses are counted in the fault log.
    Not thread-safe: call it from one thread.
    """

    def __init__(self, config: PairerConfig, faults: FaultLog) -> None:
        self._config = config
        self._faults = faults
        self._never = Doubt(faults, Fault.NEVER_PAIRED, begin=_UNPAIRED_IN_A_ROW, end=1)
        self._images: OrderedDict[int, tuple[ImageT, float]] = OrderedDict()
        self._detections: OrderedDict[int, tuple[DetectionsT, float]] = OrderedDict()
        self._newest_image_ns = 0
        self._newest_pair_ns = 0
        self._newest_detections_ns = 0
        self._late_in_a_row = 0
        self._paired_s = -math.inf  # when the last pair was complete
        self._unpaired_images = 0  # that came since then
        self._seen_images: deque[int] = deque(maxlen=_REMEMBERED_STAMPS)
        self._paired_detections: deque[int] = deque(maxlen=_REMEMBERED_STAMPS)

    def add_image(
        self, stamp_ns: int, image: ImageT, now_s: float
    ) -> FramePair[ImageT, DetectionsT] | None:
        """Take an image; returns its pair if the detections are already here."""
        self.expire(now_s)
        if stamp_ns == 0:
            self._faults.report(Fault.UNSTAMPED, "an image has stamp 0: its driver must stamp it")
            return None
        if self._time_went_backwards(stamp_ns):
            self._faults.report(
                Fault.TIME_JUMP,
                f"image stamps went back from {_seconds(self._newest_image_ns)} to "
                f"{_seconds(stamp_ns)}: starting anew",
            )
            self._start_anew_at(stamp_ns)
        if stamp_ns in self._images or stamp_ns in self._seen_images:
            self._faults.report(
                Fault.DUPLICATE, f"image with stamp {_seconds(stamp_ns)} came twice"
            )
            return None
        self._newest_image_ns = max(self._newest_image_ns, stamp_ns)
        self._unpaired_images += 1
        self._seen_images.append(stamp_ns)
        self._images[stamp_ns] = (image, now_s)
        partner = self._nearest(self._detections, stamp_ns)
        if partner is not None:
            return self._pair(stamp_ns, partner)
        if len(self._images) > self._config.queue_size:
            self._images.popitem(last=False)
            self._faults.count(Fault.IMAGE_WITHOUT_DETECTIONS)
        return None

    def add_detections(
        self, stamp_ns: int, detections: DetectionsT, now_s: float
    ) -> FramePair[ImageT, DetectionsT] | None:
        """Take a detection message; returns its pair if the image is already here."""
        self.expire(now_s)
        if stamp_ns == 0:
            self._faults.report(
                Fault.UNSTAMPED,
                "a detection message has stamp 0: the detector must copy the image's header",
            )
            return None
        if self._newest_detections_ns - stamp_ns > _DISORDER_NS:
            # A bag starts again, and its boxes come before their image: they are no duplicates.
            self._paired_detections.clear()
            self._newest_detections_ns = 0
        self._newest_detections_ns = max(self._newest_detections_ns, stamp_ns)
        if stamp_ns in self._detections or stamp_ns in self._paired_detections:
            self._faults.report(
                Fault.DUPLICATE, f"detections with stamp {_seconds(stamp_ns)} came twice"
            )
            return None
        self._detections[stamp_ns] = (detections, now_s)
        partner = self._nearest(self._images, stamp_ns)
        if partner is not None:
            return self._pair(partner, stamp_ns)
        if len(self._detections) > self._config.queue_size:
            self._give_up(next(iter(self._detections)))
        return None

    def expire(self, now_s: float) -> None:
        """Give up detections that waited too long for their image."""
        deadline = now_s - self._config.timeout_s
        for stamp_ns in [s for s, (_, at) in self._detections.items() if at <= deadline]:
            self._give_up(stamp_ns)

    def clear(self) -> None:
        """Forget everything, as at the start; nothing is counted, and an alarm ends."""
        self._never.clear()
        self._images.clear()
        self._detections.clear()
        self._seen_images.clear()
        self._paired_detections.clear()
        self._newest_image_ns = self._newest_pair_ns = self._late_in_a_row = 0
        self._newest_detections_ns = 0

    def _start_anew_at(self, stamp_ns: int) -> None:
        """Forget what was before a jump back to ``stamp_ns``, but not boxes that came ahead."""
        ahead = [
            entry for entry in self._detections.items() if abs(entry[0] - stamp_ns) <= _DISORDER_NS
        ]
        self.clear()
        self._detections.update(ahead)
        self._newest_detections_ns = max(self._detections, default=0)

    def _time_went_backwards(self, stamp_ns: int) -> bool:
        late = stamp_ns < self._newest_image_ns
        self._late_in_a_row = self._late_in_a_row + 1 if late else 0
        return (
            self._newest_image_ns - stamp_ns > _DISORDER_NS
            or self._late_in_a_row >= _LATE_IMAGES_IN_A_ROW
        )

    def _nearest(self, waiting: Iterable[int], stamp_ns: int) -> int | None:
        """Stamp of the partner; of two equally near ones the newer."""
        inside = [other for other in waiting if abs(other - stamp_ns) <= self._config.slop_ns]
        return min(inside, key=lambda other: (abs(other - stamp_ns), -other), default=None)

    def _pair(self, image_ns: int, detections_ns: int) -> FramePair[ImageT, DetectionsT] | None:
        image, received_s = self._images.pop(image_ns)
        detections, came_s = self._detections.pop(detections_ns)
        self._paired_s, self._unpaired_images = max(received_s, came_s), 0
        self._paired_detections.append(detections_ns)
        self._never.see(None)
        if image_ns < self._newest_pair_ns:
            self._faults.report(
                Fault.OUT_OF_ORDER,
                f"the pair of {_seconds(image_ns)} came after that of "
                f"{_seconds(self._newest_pair_ns)}",
            )
            return None
        self._newest_pair_ns = image_ns
        return FramePair(image_ns, image, detections, received_s)

    def _give_up(self, stamp_ns: int) -> None:
        _, came_s = self._detections.pop(stamp_ns)
        text = (
            f"detections with stamp {_seconds(stamp_ns)} found no image within "
            f"{self._config.timeout_s:g} s and {self._config.slop_ns / 1e9:g} s of slop; "
            f"{self._nearest_image(stamp_ns)}"
        )
        self._faults.report(Fault.DETECTIONS_WITHOUT_IMAGE, text)
        # A detector that looks at more images than this camera's finds some of them.
        if came_s > self._paired_s and self._unpaired_images >= _UNPAIRED_IN_A_ROW:
            self._never.see(f"no boxes meet their image: {text}")

    def _nearest_image(self, stamp_ns: int) -> str:
        """Which image lies nearest in time, and what would bring both together."""
        if not self._seen_images:
            return "no image has come yet"
        nearest_ns = min(self._seen_images, key=lambda other: abs(other - stamp_ns))
        apart_ns = abs(nearest_ns - stamp_ns)
        if apart_ns <= self._config.slop_ns:
            return (
                "its image had other boxes, or had left the queue: the detector is too slow for "
                "sync_queue_size"
            )
        text = (
            f"the nearest image has {_seconds(nearest_ns)}, {_span(apart_ns)} "
            f"{'earlier' if nearest_ns < stamp_ns else 'later'}. Let the detector copy the "
            "image's header"
        )
        if apart_ns > _LARGEST_SLOP_NS:
            return f"{text}: it has another clock, or another camera's images"
        return f"{text}, or allow slop:={_rounded_up(apart_ns):g}"


def _span(nanoseconds: int) -> str:
    seconds = nanoseconds / 1e9
    return f"{seconds * 1e3:.3g} ms" if seconds < 1.0 else f"{seconds:.1f} s"


def _rounded_up(nanoseconds: int) -> float:
    """Seconds, up to the next whole hundredth."""
    return -(-nanoseconds // 10_000_000) / 100


def _seconds(stamp_ns: int) -> str:
    return f"{stamp_ns // 10**9}.{stamp_ns % 10**9:09d}"
