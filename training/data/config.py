# SPDX-License-Identifier: Apache-2.0
"""Settings of the training data: where objects come from, how they are framed and prompted.

Plain, mutable dataclasses of simple types, so that OmegaConf can use them as a schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from amodal_ros.errors import InvalidInputError

FRAMINGS = ("full", "roi")
PROMPTS = ("box", "points", "mixed")
PROMPT_BOXES = ("visible", "amodal")
PRIORS = ("noisy", "clean", "none")
SCENES, TAOS, SHARDS, PHOTOS = "scenes", "taos", "taos_shards", "photos"


@dataclass
class SourceConfig:
    """Where objects come from.

    Attributes:
        kind: a dataset (`kins`, `cocoa`, `cocoa_cls`, `mp3d_amodal`, `fishbowl`, `movid_a`,
            `amodal_coco`), `scenes` (folders written by ``python -m training.scenes``), `taos`
            (composed while training), `taos_shards` (written by ``python -m training.taos``) or
            `photos` (every outlined object of photos, as it is).
        path: image folder of a dataset, folder of scenes or of shards.
        annotations: of a dataset.
        weight: how often it is drawn from, relative to the others.
        limit: use only so many chunks (scenes), shards or records, the first ones; 0: all.
        materials: of `taos` and `photos`: ``KIND:PATH`` as on TAOS's command line.
        material_weights: how often each is drawn from; empty: equally often.
        options: of `taos` and `photos`: settings of ``TaosConfig`` other than seed, frames, blur.
        skip_bad: of `taos`: pass over corrupt records instead of stopping at the first.
        cache: of `taos` and `photos`: folder for rendered views and self-made masks.
    """

    kind: str = ""
    path: str = ""
    annotations: str = ""
    weight: float = 1.0
    limit: int = 0
    materials: list[str] = field(default_factory=list)
    material_weights: list[float] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    skip_bad: bool = False
    cache: str = ".cache/taos"


@dataclass
class PriorConfig:
    """How M_spec is drawn; see ``training.datasets.prior_sampling``.

    Attributes:
        kind: `noisy` (boxes and masks as imperfect as inference gives them), `clean` (the exact
            visible box, expanded) or `none` (an empty M_spec: the ablation without guidance).
        kind_weights: of jittered boxes, noisy boxes, amodal masks, visible masks and, where a
            fifth is given, of masks as a tracker hands them on from an earlier frame.
        expand: factor on width and height of a box that becomes M_spec (paper 4.1).
    """

    kind: str = "noisy"
    kind_weights: list[float] = field(default_factory=lambda: [0.4, 0.3, 0.2, 0.1])
    expand: float = 1.2


@dataclass
class ValidationConfig:
    """A fixed set of objects that is measured during training, prompted as at inference.

    Attributes:
        sources: as for training; none: nothing is measured.
        count: how many objects.
        roi_factor: with framing `roi`, side of the square over the box's longer side.
        occluded_share: see `DataConfig`.
        seed: of what is drawn; the same for all runs.
    """

    sources: list[SourceConfig] = field(default_factory=list)
    count: int = 256
    roi_factor: float = 1.8
    occluded_share: float = 0.0
    seed: int = 1_000_000


@dataclass
class DataConfig:
    """Everything that decides what item i of the training data is, but the seed.

    Attributes:
        sources: at least one.
        framing: `full` (the whole image, letterboxed or stretched as the member wants it) or `roi`
            (a square about the prompt box).
        roi_factor: range of the square's side over the box's longer side.
        roi_shift: standard deviation of the square's shift over its side.
        prompt: `box`, `points` (two in the visible region, paper A.2.3) or `mixed`, half and half.
        prompt_box: of which mask; detectors give the visible one's.
        prompt_expand: factor on the box that the frozen prompt encoder gets.
        prior: M_spec.
        blur: false composes TAOS samples without Eq. 6.
        occluded_share: how many of the drawn objects are partly hidden, where a source says which
            are; 0: as they come.
        objects_per_image: with `full`, at most so many objects of an image in one item.
        frames: 1, or T for clips (with `full` only).
        min_visible_px: objects of which less is seen are passed over.
        flip: probability of mirroring.
        photometric: probability of a change in light, colour, sharpness and noise.
        feature_cache: folder in which the frozen prefix's features of the first `cache_items`
            items are kept; empty: none. Items then repeat after `cache_items`.
        cache_items: see there.
        validation: a fixed set to measure.
    """

    sources: list[SourceConfig] = field(default_factory=list)
    framing: str = "full"
    roi_factor: list[float] = field(default_factory=lambda: [1.5, 2.2])
    roi_shift: float = 0.04
    prompt: str = "box"
    prompt_box: str = "visible"
    prompt_expand: float = 1.0
    prior: PriorConfig = field(default_factory=PriorConfig)
    blur: bool = True
    occluded_share: float = 0.0
    objects_per_image: int = 1
    frames: int = 1
    min_visible_px: int = 100
    flip: float = 0.5
    photometric: float = 0.5
    feature_cache: str = ""
    cache_items: int = 0
    validation: ValidationConfig = field(default_factory=ValidationConfig)


def check_data_config(config: DataConfig) -> None:
    """Refuse settings that cannot be used.

    Raises:
        InvalidInputError: naming the setting, what came and what was expected.
    """
    for name, value, choices in (
        ("framing", config.framing, FRAMINGS),
        ("prompt", config.prompt, PROMPTS),
        ("prompt_box", config.prompt_box, PROMPT_BOXES),
        ("prior.kind", config.prior.kind, PRIORS),
    ):
        if value not in choices:
            raise InvalidInputError(f"data.{name}: expected one of {choices}, got {value!r}")
    if not config.sources:
        raise InvalidInputError("data.sources: expected at least one source, got none")
    if len(config.roi_factor) != 2 or not 1.0 <= config.roi_factor[0] <= config.roi_factor[1]:
        raise InvalidInputError(
            f"data.roi_factor: expected two rising numbers from 1, got {list(config.roi_factor)}"
        )
    if config.frames > 1 and config.framing != "full":
        raise InvalidInputError("data.frames: clips need framing full, got roi")
    if config.frames > 1 and config.feature_cache:
        raise InvalidInputError("data.feature_cache: is for stills, got clips")
    if bool(config.feature_cache) != (config.cache_items > 0):
        raise InvalidInputError(
            "data.feature_cache, data.cache_items: expected both or none, got "
            f"{config.feature_cache!r} and {config.cache_items}"
        )
