# SPDX-License-Identifier: Apache-2.0
"""Memory and latency over time as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.soak.judgement import MEMORY_LIMIT, Sample, part_medians, settled

# Drawn at twice the size and made smaller: OpenCV's own lines are rough.
_SCALE = 2
_WIDTH, _PANEL_HEIGHT = 1000, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 24, 44, 40
_INK, _GRID, _LINE, _BAND = (40, 40, 40), (225, 225, 225), (176, 96, 32), (220, 238, 220)
_MEDIAN = (40, 40, 200)


class _Panel:
    """One diagram: minutes to the right, a quantity upwards."""

    def __init__(self, title: str, minutes: float, low: float, high: float) -> None:
        self.picture = np.full((_PANEL_HEIGHT * _SCALE, _WIDTH * _SCALE, 3), 255, np.uint8)
        self._minutes, self._low, self._high = max(minutes, 1e-9), low, high
        self._title = title

    def band(self, low: float, high: float) -> None:
        """Shade a range of the quantity."""
        corner, opposite = self._at(0, high), self._at(self._minutes, low)
        cv2.rectangle(self.picture, corner, opposite, _BAND, cv2.FILLED)

    def axes(self) -> None:
        """Grid, numbers and title; after the bands, before the curves."""
        for value in _ticks(self._low, self._high):
            cv2.line(self.picture, self._at(0, value), self._at(self._minutes, value), _GRID, 2)
            x, y = self._at(0, value)
            self._text(f"{value:g}", (x - 8 * _SCALE, y + 4 * _SCALE), align_right=True)
        for minute in _ticks(0, self._minutes):
            x, y = self._at(minute, self._low)
            cv2.line(self.picture, (x, y), (x, y + 4 * _SCALE), _INK, 2)
            self._text(f"{minute:g}", (x - 6 * _SCALE, y + 18 * _SCALE))
        cv2.line(self.picture, self._at(0, self._low), self._at(self._minutes, self._low), _INK, 2)
        self._text(self._title, (_LEFT * _SCALE, 24 * _SCALE), size=0.55)
        self._text("minutes", ((_WIDTH - 84) * _SCALE, (_PANEL_HEIGHT - 6) * _SCALE))

    def curve(
        self, points: Sequence[tuple[float, float]], colour: tuple[int, int, int], width: int = 1
    ) -> None:
        """Join (minute, value) by lines."""
        corners = np.array([self._at(minute, value) for minute, value in points], np.int32)
        cv2.polylines(self.picture, [corners], False, colour, width * _SCALE, cv2.LINE_AA)

    def _at(self, minute: float, value: float) -> tuple[int, int]:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * minute / self._minutes
        share = (value - self._low) / (self._high - self._low)
        y = _PANEL_HEIGHT - _BOTTOM - (_PANEL_HEIGHT - _TOP - _BOTTOM) * share
        return round(x * _SCALE), round(y * _SCALE)

    def _text(
        self, text: str, at: tuple[int, int], size: float = 0.42, align_right: bool = False
    ) -> None:
        font, scale = cv2.FONT_HERSHEY_SIMPLEX, size * _SCALE
        (width, _), _ = cv2.getTextSize(text, font, scale, _SCALE)
        x = at[0] - width if align_right else at[0]
        cv2.putText(self.picture, text, (x, at[1]), font, scale, _INK, _SCALE, cv2.LINE_AA)


def soak_picture(samples: Sequence[Sample]) -> np.ndarray:
    """Memory above, latency below: (H, W, 3) uint8 BGR.

    The green band is the allowed range around the first tenth after the warm-up; red are the
    medians of the tenths.

    Args:
        samples: of the whole run, in their order.

    Raises:
        ValueError: if the run was too short.
    """
    after = settled(samples)
    minutes = samples[-1].minute
    rss = [sample.rss_mib for sample in samples]
    first = part_medians([sample.rss_mib for sample in after])[0]
    low, high = first * (1 - MEMORY_LIMIT), first * (1 + MEMORY_LIMIT)
    margin = 0.6 * (high - low)
    memory = _Panel(
        "Resident memory of the node, MiB (green: +-2 % after warm-up)",
        minutes,
        min(low, *rss) - margin,
        max(high, *rss) + margin,
    )
    memory.band(low, high)
    totals = [sample.total_ms / 1e3 for sample in samples]
    latency = _Panel("Image stamp to masks published, seconds", minutes, 0, 1.1 * max(totals))
    for panel, values in ((memory, rss), (latency, totals)):
        panel.axes()
        times = [sample.minute for sample in samples]
        panel.curve(list(zip(times, values, strict=True)), _LINE)
        settled_values = values[len(samples) - len(after) :]
        settled_times = part_medians([sample.minute for sample in after])
        medians = part_medians(settled_values)
        panel.curve(list(zip(settled_times, medians, strict=True)), _MEDIAN, width=2)
    large = np.vstack([memory.picture, latency.picture])
    return cv2.resize(large, None, fx=1 / _SCALE, fy=1 / _SCALE, interpolation=cv2.INTER_AREA)


def write_picture(path: Path, samples: Sequence[Sample]) -> None:
    """Write `soak_picture` as a file.

    Raises:
        OSError: if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), soak_picture(samples)):
        raise OSError(f"{path} cannot be written")


def _ticks(low: float, high: float) -> list[float]:
    """Some five round numbers from ``low`` to ``high``."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = min((1, 2, 5, 10), key=lambda factor: abs(factor * power - rough)) * power
    first = int(np.ceil(low / step))
    return [round(float(n * step), 9) for n in range(first, int(np.floor(high / step)) + 1)]
