# SPDX-License-Identifier: Apache-2.0
"""The types that travel through TAOS (Target-Aware Occlusion Synthesis, paper 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class PhotoObject:
    """One segmented object of a photo; its mask is drawn only when asked for.

    Attributes:
        object_id: identity inside the record (annotation id or line number).
        box_xyxy: box in native photo pixels.
        area: mask area in native photo pixels (an estimate is enough).
        category: class name or number, or "" where the source has none.
        rasterise: ``(hw) -> (H, W) bool`` draws the mask at that working size.
    """

    object_id: str
    box_xyxy: tuple[float, float, float, float]
    area: float
    category: str
    rasterise: Callable[[tuple[int, int]], np.ndarray]


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo at working size with its segmented objects.

    Attributes:
        record: name of the record in its source.
        native_hw: size the annotations refer to.
        hw: working size; the longest side is at most ``long_side``.
        read_rgb: returns the (H, W, 3) uint8 RGB pixels at working size.
        objects: the segmented objects, in the order of the file.
        background_annotated: whether the source annotates ground and walls too (SA-1B does),
            so that a huge neighbour does not mean an occluder.
        origin: JSON-ready provenance shared by all objects (source, licence, ...).
    """

    record: str
    native_hw: tuple[int, int]
    hw: tuple[int, int]
    read_rgb: Callable[[], np.ndarray]
    objects: tuple[PhotoObject, ...]
    background_annotated: bool
    origin: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class CutOut:
    """An object cut out of its image.

    Attributes:
        rgb: (h, w, 3) uint8 RGB; colours are valid wherever alpha > 0.
        alpha: (h, w) float32 in [0, 1].
        soft: whether alpha came from the source (else it is a hard mask).
        origin: JSON-ready provenance.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    soft: bool
    origin: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Checks shapes and dtypes.

        Raises:
            InvalidInputError: on any other shape or dtype.
        """
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or self.rgb.dtype != np.uint8:
            raise InvalidInputError(
                f"CutOut.rgb: expected (h, w, 3) uint8, got {self.rgb.shape} {self.rgb.dtype}"
            )
        if self.alpha.shape != self.rgb.shape[:2] or self.alpha.dtype != np.float32:
            raise InvalidInputError(
                f"CutOut.alpha: expected {self.rgb.shape[:2]} float32, "
                f"got {self.alpha.shape} {self.alpha.dtype}"
            )

    @property
    def area(self) -> float:
        """Number of pixels with alpha > 0.5."""
        return float(np.count_nonzero(self.alpha > 0.5))


@dataclass(frozen=True, eq=False)
class TaosSample:
    """One composite with everything known about it (paper Fig. 4 and 11).

    Attributes:
        image: (H, W, 3) uint8 RGB, the occluded image.
        original: (H, W, 3) uint8 RGB, the same scene before anything was put beside or in
            front of the target.
        amodal: (H, W) bool, the whole target.
        visible: (H, W) bool, amodal and not occluder.
        occlusion: (H, W) bool, amodal and occluder.
        occluder: (H, W) bool, all pixels of pasted occluders and neighbours (alpha > 0.5).
        provenance: JSON-ready: sources, transforms, seed.
    """

    image: np.ndarray
    original: np.ndarray
    amodal: np.ndarray
    visible: np.ndarray
    occlusion: np.ndarray
    occluder: np.ndarray
    provenance: Mapping[str, Any]

    @property
    def occlusion_rate(self) -> float:
        """1 - |visible| / |amodal|; 0 for an empty amodal mask."""
        whole = int(np.count_nonzero(self.amodal))
        return float(np.count_nonzero(self.occlusion)) / whole if whole else 0.0


@dataclass(frozen=True, eq=False)
class TaosClip:
    """T frames of one moving target; frame f has ``provenance["frame"] == f``."""

    frames: tuple[TaosSample, ...]


@dataclass
class DrawReport:
    """What happened while sample `index` was drawn.

    Attributes:
        index: number of the sample in the run.
        result: the accepted sample or clip, or None when it is left out.
        rejects: how many attempts failed, by reason.
        bad_records: messages of the corrupt records met (with ``skip_bad``).
    """

    index: int
    result: TaosSample | TaosClip | None = None
    rejects: dict[str, int] = field(default_factory=dict)
    bad_records: list[str] = field(default_factory=list)

    def reject(self, reason: str) -> None:
        """Counts one rejected attempt."""
        self.rejects[reason] = self.rejects.get(reason, 0) + 1
