# SPDX-License-Identifier: Apache-2.0
"""Every knob of TAOS in one frozen, validated place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from amodal_ros.errors import InvalidInputError

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class TaosConfig:
    """What decides the content of the composites. Defaults: docs and paper 3.3.

    Attributes:
        seed: of the whole run; sample i uses ``SeedSequence(seed, spawn_key=(i, attempt))``.
        frames: 1 makes stills, more makes clips of that many frames.
        long_side: longest side of the composites in pixels (photos are never enlarged).
        target_area: target size as a share of the image area.
        occluder_ratio: occluder area divided by target area.
        overlap: share of the target that occluders cover.
        occluder_counts: probabilities of 1, 2, 3, ... occluders.
        touching_share: share of samples with a neighbour that touches, or stands behind, the
            target without covering it.
        unoccluded_share: share of samples with nothing over the target.
        part_share: how often an occluder is a part of an object.
        blur_size: odd side of the Gaussian kernel of Eq. 6 in pixels; 0 turns blurring off.
        blur_sigma: its sigma in pixels.
        harmonise: range of the strength with which pasted colours move to the scene's.
        rotation_deg: largest rotation of a pasted object.
        max_upscale: largest enlargement of a pasted object.
        min_solidity: smallest area / convex hull area of a target taken from a photo.
        min_thin_solidity: the same of a target that is thin everywhere, as scissors, glasses and
            bent handles are; no bite out of a solid thing looks like that.
        min_thin_area: smallest share of the image area of such a target.
        thin_part_share: how often a thin cut-out that becomes a target is cut to a part.
        max_contact: largest share of a target's outline that touches another annotated object.
        border_margin: pixels a target keeps from the image border.
        max_fragments: most visible pieces (of at least 3 % of the target) left of the target.
        max_attempts: draws after which a sample is left out.
        shard_size: samples (or clips) in a shard.
        image_format: of the two images of a sample.
        jpeg_quality: 1 to 100.
        render_views: viewpoints for each 3D model.
        render_size: side of a rendered cut-out in pixels.
        licences: licences a 3D model may have.
        excluded_models: ids of 3D models that are left out (kept for evaluation, say).
        part: of each source: all of it, what is not kept back, or what is.
        held_share: of the objects of each source that are kept back.
        photos_grid: points per side with which the base model segments a photo.
        model_dir: model folder for the `photos` source; "" means the embedded one.
    """

    seed: int = 0
    frames: int = 1
    long_side: int = 640
    target_area: Range = (0.02, 0.40)
    occluder_ratio: Range = (0.3, 1.5)
    overlap: Range = (0.10, 0.70)
    occluder_counts: tuple[float, ...] = (0.72, 0.21, 0.07)
    touching_share: float = 0.15
    unoccluded_share: float = 0.15
    part_share: float = 0.2
    blur_size: int = 5
    blur_sigma: float = 1.0
    harmonise: Range = (0.1, 0.5)
    rotation_deg: float = 12.0
    max_upscale: float = 1.6
    min_solidity: float = 0.8
    min_thin_solidity: float = 0.25
    min_thin_area: float = 0.002
    thin_part_share: float = 0.3
    max_contact: float = 0.08
    border_margin: int = 3
    max_fragments: int = 3
    max_attempts: int = 200
    shard_size: int = 256
    image_format: Literal["jpg", "png"] = "jpg"
    jpeg_quality: int = 95
    render_views: int = 8
    render_size: int = 448
    licences: tuple[str, ...] = ("CC0-1.0", "CC-BY-3.0")
    excluded_models: tuple[str, ...] = ()
    part: Literal["all", "train", "held"] = "all"
    held_share: float = 0.2
    photos_grid: int = 12
    model_dir: str = ""

    def __post_init__(self) -> None:
        """Checks every range.

        Raises:
            InvalidInputError: naming the setting, what came and what was expected.
        """
        for name, low, high in (
            ("target_area", 0.0, 1.0),
            ("occluder_ratio", 0.0, 100.0),
            ("overlap", 0.0, 1.0),
            ("harmonise", 0.0, 1.0),
        ):
            _check_range(name, getattr(self, name), low, high)
        for name in (
            "touching_share",
            "unoccluded_share",
            "part_share",
            "thin_part_share",
            "min_solidity",
            "min_thin_solidity",
            "min_thin_area",
            "held_share",
        ):
            _check_number(name, getattr(self, name), 0.0, 1.0)
        if self.touching_share + self.unoccluded_share > 1.0:
            raise InvalidInputError(
                "touching_share + unoccluded_share: expected at most 1, got "
                f"{self.touching_share} + {self.unoccluded_share}"
            )
        for name in (
            "frames",
            "long_side",
            "max_attempts",
            "shard_size",
            "render_views",
            "render_size",
            "photos_grid",
            "max_fragments",
        ):
            _check_number(name, getattr(self, name), 1, float("inf"))
        _check_number("seed", self.seed, 0, float("inf"))
        _check_number("jpeg_quality", self.jpeg_quality, 1, 100)
        _check_number("blur_sigma", self.blur_sigma, 1e-3, 100.0)
        if self.blur_size != 0 and (self.blur_size < 3 or self.blur_size % 2 == 0):
            raise InvalidInputError(
                f"blur_size: expected 0 (off) or an odd number from 3, got {self.blur_size}"
            )
        if self.part not in ("all", "train", "held"):
            raise InvalidInputError(f"part: expected all, train or held, got {self.part}")
        if self.image_format not in ("jpg", "png"):
            raise InvalidInputError(f"image_format: expected jpg or png, got {self.image_format}")
        if not self.occluder_counts or abs(sum(self.occluder_counts) - 1.0) > 1e-6:
            raise InvalidInputError(
                f"occluder_counts: expected probabilities summing to 1, got {self.occluder_counts}"
            )


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidInputError(f"{name}: expected {low} to {high}, got {value}")


def _check_range(name: str, value: Range, low: float, high: float) -> None:
    if len(value) != 2 or not low <= value[0] <= value[1] <= high:
        raise InvalidInputError(
            f"{name}: expected two rising numbers within {low} to {high}, got {value}"
        )
