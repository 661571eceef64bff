# SPDX-License-Identifier: Apache-2.0
"""The series of ablations: their rows, and which stand beside which figures of the paper."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REFERENCE = "reference"
_CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "ablations"


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        group: What is varied, with the paper's table.
        config: Name of the file in the series' folder.
        label: For people.
        paper: The paper's mIoU_full / mIoU_occ with their data set; empty where it has none.
    """

    group: str
    config: str
    label: str
    paper: str = ""


_PLACE = "Adapter (Table 4; the paper's: COCOA-cls, trained on TAOS)"
_NUMBER = "Number of SCAs (Table 5; KINS)"
_LOSSES = "Losses (Table 6; TAOS set)"
_PROMPT = "Prompt (Table 7; KINS)"
_BLUR = "Blur (Table 8; COCOA-cls, trained on TAOS)"
_PRIOR = "M_spec (not in the paper)"
_OCCLUSION = "Dice of the hidden part (not in the paper)"
_WIDTH = "Width of the SCAs, channels"
_PLACES = "Places of the SCAs, blocks of TinyViT (12: the neck)"
_BOX = "Box of the prompt encoder"
_REGION = "Side of the region over the box's longer side"

# The paper's rows of table 6 with one term dropped lost their labels; both figures are given.
_ONE_DROPPED = "89.04/54.39 or 89.97/53.52"

ROWS = (
    Row(_PLACE, REFERENCE, "SCA in the encoder", "82.70/33.61"),
    Row(_PLACE, "conventional", "conventional adapter in the encoder", "57.41/31.47"),
    Row(_PLACE, "decoder", "SCA in the decoder", "58.18/27.64"),
    Row(_NUMBER, "one_adapter", "1", "80.05/53.92"),
    Row(_NUMBER, "two_adapters", "2", "81.26/56.34"),
    Row(_NUMBER, REFERENCE, "3", "83.43/59.27"),
    Row(_LOSSES, REFERENCE, "all", "90.85/54.64"),
    Row(_LOSSES, "no_consistency", "without L_reg", _ONE_DROPPED),
    Row(_LOSSES, "no_adversarial", "without L_hol", _ONE_DROPPED),
    Row(_LOSSES, "segmentation_only", "L_seg alone", "88.45/53.41"),
    Row(_PROMPT, REFERENCE, "box", "83.43/59.27"),
    Row(_PROMPT, "points", "two points", "82.74/58.52"),
    Row(_BLUR, REFERENCE, "blur", "82.13/33.56"),
    Row(_BLUR, "no_blur", "no blur", "81.26/31.77"),
    Row(_PRIOR, REFERENCE, "noisy in training"),
    Row(_PRIOR, "clean_prior", "clean in training"),
    Row(_PRIOR, "no_prior", "none"),
    Row(_OCCLUSION, REFERENCE, "without"),
    Row(_OCCLUSION, "with_occlusion", "with"),
    Row(_WIDTH, "width_32", "32"),
    Row(_WIDTH, REFERENCE, "64"),
    Row(_WIDTH, "width_128", "128"),
    Row(_PLACES, "late_places", "10, 11, 12"),
    Row(_PLACES, REFERENCE, "4, 10, 12"),
    Row(_PLACES, "four_places", "4, 7, 10, 12"),
    Row(_BOX, REFERENCE, "tight"),
    Row(_BOX, "expanded_box", "expanded by 1.2"),
    Row(_REGION, "narrow_region", "1.5"),
    Row(_REGION, REFERENCE, "1.8"),
    Row(_REGION, "wide_region", "2.3"),
)

_ADAPTER = "Adapter of the encoder, at equal cost"
_GUIDANCE = "M_spec"
ONE_PASS_ROWS = (
    Row(_ADAPTER, REFERENCE, "SCA, dilated, gates open (the recipe's)"),
    Row(_ADAPTER, "open_gates", "SCA, gates open"),
    Row(_ADAPTER, "papers_start", "SCA as PyTorch starts it, gates half open"),
    Row(_ADAPTER, "conventional", "conventional"),
    Row(_GUIDANCE, REFERENCE, "boxes and masks"),
    Row(_GUIDANCE, "no_prior", "none"),
)


@dataclass(frozen=True)
class Series:
    """Ablations that share a reference."""

    rows: tuple[Row, ...]
    configs: Path

    def names(self) -> tuple[str, ...]:
        """Return every configuration of the table once, the reference first."""
        return tuple(dict.fromkeys((REFERENCE, *(row.config for row in self.rows))))


PAPER = Series(ROWS, _CONFIGS)
ONE_PASS = Series(ONE_PASS_ROWS, _CONFIGS / "one_pass")
SERIES = {"paper": PAPER, "one_pass": ONE_PASS}
