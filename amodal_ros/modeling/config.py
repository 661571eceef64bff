# SPDX-License-Identifier: Apache-2.0
"""What an amodal model is made of: its base, its adapters and where they sit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from amodal_ros.errors import InvalidInputError

SAM_MEMBERS = ("sam_vit_b", "sam_vit_l", "sam_vit_h")
SAM2_MEMBERS = tuple(
    f"{generation}_hiera_{size}"
    for generation in ("sam2", "sam2.1")
    for size in ("t", "s", "b+", "l")
)
MOBILE_SAM_MEMBERS = ("mobile_sam",)
MEMBERS = SAM_MEMBERS + SAM2_MEMBERS + MOBILE_SAM_MEMBERS

ADAPTERS = ("sca", "conventional")
PLACES = ("encoder", "decoder")
FREEZABLE = ("image_encoder", "prompt_encoder", "mask_decoder", "memory")


@dataclass(frozen=True, kw_only=True)
class AmodalConfig:
    """Everything that decides the shape of an amodal model; stored with its adapters.

    Attributes:
        base: Member of the family, one of :data:`MEMBERS`.
        image_size: Side of the square input in pixels. Official weights are trained at 1024.
        adapter: ``"sca"`` (Eq. 5), or ``"conventional"``: no gating and no M_spec (Table 4).
        place: ``"encoder"`` (the paper's), or ``"decoder"`` (Table 4).
        positions: Where the adapters sit, ascending; empty for the member's default. ViT: indices
            of the blocks before which they sit. Hiera: numbers 1 to 4 of the stages. TinyViT:
            indices of its blocks, over all stages, and one more for the neck. Decoder: 0 and 1
            before that layer of the two-way transformer, 2 after the last. Their number is the
            row of Table 5.
        hidden_dim: Width of the adapters' bottleneck; None for the literal full-width form.
        conventional_dim: Width of conventional adapters, where it is not ``hidden_dim``: at 64
            they cost what SCAs of 32 do.
        iterations: How often an SCA applies Eq. 5.
        decoder_positions: Adapters in the mask decoder beside those in the encoder, for
            ``mobile_sam``: 0, 1 and 2 as with ``place: decoder``, dilated and with gates that
            start open; 3 corrects the mask itself (``modeling/decoder_adapters.py``).
        dilated_positions: Those of ``positions`` whose SCA has dilated kernels (the paper's has
            not): it looks as far as the features reach, for the same cost.
        open_gates: Whether the gates of the other SCAs in the encoder start nearly open, as those
            of dilated ones always do.
        visible_output: Whether one pass gives the visible mask beside the amodal one
            (``modeling/two_mask_head.py``). The paper's models give the amodal mask alone; what
            is seen takes them a second pass with the adapters switched off.
        unfrozen: Parts of the base model that are trained too, out of :data:`FREEZABLE`.
        sam2_postprocessing: What ``sam2`` calls ``apply_postprocessing``: the decoder falls back
            to its multi-mask tokens where the single mask is unstable, and masks of prompted
            frames enter the memory binarised. Meant for inference on video.
    """

    base: str
    image_size: int = 1024
    adapter: str = "sca"
    place: str = "encoder"
    positions: tuple[int, ...] = ()
    hidden_dim: int | None = 64
    conventional_dim: int | None = None
    iterations: int = 3
    dilated_positions: tuple[int, ...] = ()
    decoder_positions: tuple[int, ...] = ()
    open_gates: bool = False
    visible_output: bool = False
    unfrozen: tuple[str, ...] = ()
    sam2_postprocessing: bool = False

    @property
    def family(self) -> str:
        """``mobile_sam``, ``sam`` or ``sam2``."""
        if self.base in MOBILE_SAM_MEMBERS:
            return "mobile_sam"
        return "sam" if self.base in SAM_MEMBERS else "sam2"

    def __post_init__(self) -> None:
        _check_choice("base", self.base, MEMBERS)
        _check_choice("adapter", self.adapter, ADAPTERS)
        _check_choice("place", self.place, PLACES)
        for part in self.unfrozen:
            _check_choice("unfrozen", part, FREEZABLE)
        for name in ("positions", "dilated_positions", "decoder_positions"):
            object.__setattr__(self, name, tuple(int(p) for p in getattr(self, name)))
        object.__setattr__(self, "unfrozen", tuple(self.unfrozen))
        if list(self.positions) != sorted(set(self.positions)):
            raise InvalidInputError(
                f"positions must ascend without repetition, got {self.positions}"
            )
        if not set(self.dilated_positions) <= set(self.positions):
            raise InvalidInputError(
                f"dilated_positions must be among the positions {self.positions}, "
                f"got {self.dilated_positions}"
            )
        if self.dilated_positions and self.adapter != "sca":
            raise InvalidInputError(
                f"only an sca can be dilated, got dilated_positions {self.dilated_positions} "
                f"with adapter {self.adapter!r}"
            )
        self._check_decoder_positions()
        if self.image_size < 32 or self.image_size % 32:
            raise InvalidInputError(
                f"image_size must be a positive multiple of 32, got {self.image_size}"
            )
        if self.iterations < 1:
            raise InvalidInputError(f"iterations must be at least 1, got {self.iterations}")
        for name in ("hidden_dim", "conventional_dim"):
            width = getattr(self, name)
            if width is not None and width < 1:
                raise InvalidInputError(f"{name} must be at least 1, got {width}")

    def _check_decoder_positions(self) -> None:
        positions = self.decoder_positions
        if not positions:
            return
        if list(positions) != sorted(set(positions)) or not set(positions) <= {0, 1, 2, 3}:
            raise InvalidInputError(
                f"decoder_positions must ascend without repetition from 0 to 3, got {positions}"
            )
        if self.base not in MOBILE_SAM_MEMBERS or self.place != "encoder":
            raise InvalidInputError(
                f"decoder_positions stand beside adapters in the encoder of mobile_sam, got "
                f"{positions} with base {self.base!r} and place {self.place!r}"
            )
        if self.hidden_dim is None:
            raise InvalidInputError(f"decoder_positions {positions} need a hidden_dim, got None")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        values = asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AmodalConfig:
        """Rebuild a configuration from :meth:`to_dict`.

        Raises:
            InvalidInputError: A name is unknown, or a value is not allowed.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown or "base" not in values:
            raise InvalidInputError(
                f"a model configuration needs 'base' and knows {sorted(known)}, "
                f"got {sorted(values)}"
            )
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**plain)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidInputError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
