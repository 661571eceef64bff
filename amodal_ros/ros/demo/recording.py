# SPDX-License-Identifier: Apache-2.0
"""Puts pictures, answers and timings together by stamp and writes the demo's files; no ROS."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from amodal_ros.annotations.amodal_coco import Truth
from amodal_ros.errors import AmodalError
from amodal_ros.image.rle import decode_rle
from amodal_ros.metrics import MiouResult, c2f, measure_overlap
from amodal_ros.ros.demo.pictures import VideoWriter, choose_rows, contact_sheet, overlay_frame
from amodal_ros.ros.demo.results import (
    CameraReport,
    build_summary,
    object_from_record,
    object_record,
    write_result,
)
from amodal_ros.tracking.tracker import TrackedObject

# Pictures that wait for their answer; beyond this the oldest is given up.
_PENDING_BYTES = 512 * 2**20
_SHEET_ROWS = 5
_KEPT_PICTURES = 60


class NothingAnsweredError(AmodalError):
    """Not one frame was answered, so there is nothing to show."""


@dataclass(frozen=True, eq=False)
class _Kept:
    """An answered frame that may stand on the contact sheet, compressed."""

    stamp_ns: int
    picture: np.ndarray
    hidden_pixels: int


class Recording:
    """Collects what arrives and writes `overlay.mp4` on the way, the other files at the end."""

    def __init__(self, out: Path, frame_rate: float, title: str) -> None:
        self._out = out
        self._title = title
        self._video = VideoWriter(out / "overlay.mp4", frame_rate)
        self._pending: OrderedDict[int, np.ndarray] = OrderedDict()
        self._early: dict[int, Sequence[TrackedObject]] = {}
        self._stamps: dict[int, int] = {}
        self._answers: dict[int, list[dict[str, Any]]] = {}
        self._latencies_ms: dict[int, float] = {}
        self._kept: list[_Kept] = []
        self._keep_every = 1
        self._names: dict[int, str] = {}

    def add_image(self, stamp_ns: int, image_rgb: np.ndarray) -> None:
        """Takes a picture (H, W, 3) uint8; it waits for its answer."""
        self._stamps[stamp_ns] = len(self._stamps)
        self._pending[stamp_ns] = image_rgb
        if stamp_ns in self._early:
            self._settle(stamp_ns, self._early.pop(stamp_ns))
        while sum(picture.nbytes for picture in self._pending.values()) > _PENDING_BYTES:
            self._write_unanswered(*self._pending.popitem(last=False))

    def add_answer(self, stamp_ns: int, objects: Sequence[TrackedObject]) -> None:
        """Takes the answer to the picture of that stamp, whichever of the two came first."""
        if stamp_ns in self._answers or stamp_ns in self._early:
            return
        if stamp_ns in self._pending:
            self._settle(stamp_ns, objects)
        elif stamp_ns not in self._stamps:
            self._early[stamp_ns] = objects

    def add_latency(self, stamp_ns: int, total_ms: float) -> None:
        """Takes the time from the image's stamp to the answer's publication."""
        self._latencies_ms[stamp_ns] = total_ms

    def finish(self, report: CameraReport | None, truth: Truth | None) -> dict[str, Any]:
        """Writes everything that is still to be written and returns the summary.

        Args:
            report: The camera's; None: frames are numbered in their order of arrival.
            truth: True masks by frame index, where they are known.

        Raises:
            NothingAnsweredError: No frame was answered; `summary.json` is written all the same.
            OSError: A file cannot be written.
        """
        while self._pending:
            self._write_unanswered(*self._pending.popitem(last=False))
        self._video.close()
        sent = [frame.stamp_ns for frame in report.frames] if report else list(self._stamps)
        index_of = {stamp_ns: index for index, stamp_ns in enumerate(sent)}
        # The node counts from the stamp, which may be older than the sending.
        frames = report.frames if report else []
        waited_ms = {frame.stamp_ns: (frame.sent_ns - frame.stamp_ns) / 1e6 for frame in frames}
        answered = [stamp for stamp in sent if stamp in self._answers]
        summary = build_summary(
            frames_sent=len(sent),
            frames_answered=len(answered),
            objects_published=sum(len(self._answers[stamp]) for stamp in answered),
            latencies_ms=[
                self._latencies_ms[stamp] - waited_ms.get(stamp, 0.0)
                for stamp in answered
                if stamp in self._latencies_ms
            ],
            accuracy=None if truth is None else self._accuracy(truth, index_of),
        )
        text = json.dumps(summary, indent=2) + "\n"
        write_result(self._out / "summary.json", text.encode())
        if not answered:
            raise NothingAnsweredError(
                f"none of {len(sent)} frames was answered: there are no masks to show"
            )
        records = [
            {"frame": index_of[stamp], **record}
            for stamp in answered
            for record in self._answers[stamp]
        ]
        text = json.dumps(records, separators=(",", ":"))
        write_result(self._out / "masks.json", text.encode())
        self._write_sheet(index_of)
        return summary

    def _settle(self, stamp_ns: int, objects: Sequence[TrackedObject]) -> None:
        """Answers come in order: older pictures that still wait will never be answered."""
        while next(iter(self._pending)) != stamp_ns:
            self._write_unanswered(*self._pending.popitem(last=False))
        image_rgb = self._pending.pop(stamp_ns)
        for found in objects:
            name = found.class_id or found.detection_id
            if name or found.track_id not in self._names:
                self._names[found.track_id] = name or f"#{found.track_id}"
        caption = self._caption(stamp_ns)
        self._video.add(overlay_frame(image_rgb, objects, self._names, caption), stamp_ns / 1e9)
        self._answers[stamp_ns] = [object_record(stamp_ns, found) for found in objects]
        hidden = sum((found.amodal - found.visible).area for found in objects)
        self._keep(stamp_ns, image_rgb, hidden)

    def _write_unanswered(self, stamp_ns: int, image_rgb: np.ndarray) -> None:
        page = overlay_frame(image_rgb, None, {}, self._caption(stamp_ns))
        self._video.add(page, stamp_ns / 1e9)

    def _caption(self, stamp_ns: int) -> str:
        return f"frame {self._stamps[stamp_ns]}"

    def _keep(self, stamp_ns: int, image_rgb: np.ndarray, hidden_pixels: int) -> None:
        """Keeps an even selection of at most `_KEPT_PICTURES` frames, whatever the length."""
        if (len(self._answers) - 1) % self._keep_every:
            return
        packed = cv2.imencode(".png", image_rgb, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        self._kept.append(_Kept(stamp_ns, packed, hidden_pixels))
        if len(self._kept) > _KEPT_PICTURES:
            self._kept = self._kept[::2]
            self._keep_every *= 2

    def _write_sheet(self, index_of: dict[int, int]) -> None:
        kept = [frame for frame in self._kept if frame.stamp_ns in index_of]
        frames = [index_of[frame.stamp_ns] for frame in kept]
        chosen = choose_rows(frames, [frame.hidden_pixels for frame in kept], _SHEET_ROWS)
        rows = [
            (
                f"frame {frames[position]}",
                np.asarray(cv2.imdecode(kept[position].picture, cv2.IMREAD_COLOR)),
                [object_from_record(r) for r in self._answers[kept[position].stamp_ns]],
            )
            for position in chosen
        ]
        page = contact_sheet(rows, self._names, self._title)
        packed = cv2.imencode(".png", cv2.cvtColor(page, cv2.COLOR_RGB2BGR))[1]
        write_result(self._out / "contact_sheet.png", packed.tobytes())

    def _accuracy(self, truth: Truth, index_of: dict[int, int]) -> dict[str, float | None]:
        """Published amodal masks of answered frames against the truth, matched by name."""
        overlaps = []
        name_of_track: dict[int, str] = {}
        for stamp_ns, frame in index_of.items():
            if stamp_ns not in self._answers:
                continue
            found = {}
            for record in self._answers[stamp_ns]:
                track = record["track_id"]
                name = record["detection_id"] or name_of_track.get(track, "")
                name_of_track[track] = name
                found[name] = record["amodal_mask"]
            for true_object in truth.of(frame):
                rle = found.get(true_object.name)
                whole, seen = true_object.amodal_mask, true_object.visible_mask
                # An object that is missing in the answer has no pixel.
                published = np.zeros_like(whole) if rle is None else decode_rle(rle)
                overlaps.append(measure_overlap(published, whole, seen))
        return _percent(c2f(overlaps))


def _percent(result: MiouResult) -> dict[str, float | None]:
    """As `summary.json` has it; None where there is no instance to count."""
    shares = {"miou_full": result.miou_full, "miou_occ": result.miou_occ}
    return {name: None if x is None else round(100 * x, 2) for name, x in shares.items()}
