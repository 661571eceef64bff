# SPDX-License-Identifier: Apache-2.0
"""What the demo writes as JSON: a record per object and frame, camera report, summary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.cropped import BoxXyxy, CroppedMask
from amodal_ros.image.rle import decode_rle, encode_rle
from amodal_ros.tracking.tracker import TrackedObject


@dataclass
class SentFrame:
    """One frame that the camera published; in lockstep its stamp is older than its sending."""

    frame: int
    stamp_ns: int
    sent_ns: int
    answered: bool = False


@dataclass
class CameraReport:
    """What the camera did, for the recorder: frame indices and stamps."""

    frames: list[SentFrame] = field(default_factory=list)

    @property
    def frames_sent(self) -> int:
        """Number of pictures published."""
        return len(self.frames)

    def save(self, path: Path) -> None:
        """Writes the report as JSON."""
        content = json.dumps({"frames": [asdict(frame) for frame in self.frames]})
        write_result(path, content.encode())

    @classmethod
    def load(cls, path: Path) -> CameraReport:
        """Reads a report.

        Raises:
            InvalidInputError: The file is missing or no report.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls([SentFrame(**frame) for frame in data["frames"]])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(f"{path} is no report of the demo camera: {error}") from error


def write_result(path: Path, content: bytes) -> None:
    """Writes a file of the results.

    Raises:
        OSError: It cannot be written; the error names it, as the system's own does not.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def object_record(stamp_ns: int, found: TrackedObject) -> dict[str, Any]:
    """An entry of `masks.json` but for its frame; boxes are x, y, width, height in pixels."""
    return {
        "stamp": {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9},
        "track_id": found.track_id,
        "class_id": found.class_id,
        "detection_id": found.detection_id,
        "score": round(found.score, 6),
        "predicted_iou": round(found.predicted_iou, 6),
        "occlusion_rate": round(found.occlusion_rate, 6),
        "coasting": found.coasting,
        "visible_bbox": _xywh(found.visible_box_xyxy),
        "amodal_bbox": _xywh(found.amodal_box_xyxy),
        "visible_mask": encode_rle(found.visible_mask),
        "amodal_mask": encode_rle(found.amodal_mask),
    }


def object_from_record(record: Mapping[str, Any]) -> TrackedObject:
    """The reverse of `object_record`."""
    return TrackedObject(
        track_id=record["track_id"],
        class_id=record["class_id"],
        detection_id=record["detection_id"],
        score=record["score"],
        predicted_iou=record["predicted_iou"],
        coasting=record["coasting"],
        visible=CroppedMask.of(decode_rle(record["visible_mask"])),
        amodal=CroppedMask.of(decode_rle(record["amodal_mask"])),
    )


def build_summary(
    *,
    frames_sent: int,
    frames_answered: int,
    objects_published: int,
    latencies_ms: Sequence[float],
    accuracy: Mapping[str, float | None] | None,
) -> dict[str, Any]:
    """The content of `summary.json`; `accuracy` only where true masks are known."""
    percentiles = {
        f"p{percent}": round(float(np.percentile(latencies_ms, percent)), 2)
        if len(latencies_ms)
        else None
        for percent in (50, 90, 99)
    }
    return {
        "frames_sent": frames_sent,
        "frames_answered": frames_answered,
        "frames_dropped": frames_sent - frames_answered,
        "objects_published": objects_published,
        "latency_ms": percentiles,
        **(accuracy or {}),
    }


def print_summary(summary: Mapping[str, Any]) -> None:
    """Prints the summary as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Summary", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for key in ("frames_sent", "frames_answered", "frames_dropped", "objects_published"):
        table.add_row(key.replace("_", " "), str(summary[key]))
    for name, value in summary["latency_ms"].items():
        text = "-" if value is None else f"{value:.0f} ms"
        table.add_row(f"latency {name} (image sent to masks published)", text)
    for key, label in (("miou_full", "mIoU full (c2f)"), ("miou_occ", "mIoU occ (c2f)")):
        if key in summary:
            value = summary[key]
            table.add_row(label, "-" if value is None else f"{value:.1f} %")
    Console().print(table)


def _xywh(box_xyxy: BoxXyxy) -> list[int]:
    x0, y0, x1, y1 = box_xyxy
    return [x0, y0, x1 - x0, y1 - y0]
