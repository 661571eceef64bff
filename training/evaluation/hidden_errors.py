# SPDX-License-Identifier: Apache-2.0
"""Where mIoU_occ is lost: ``python -m training.evaluation.hidden_errors out/instances.jsonl``.

Reads what ``python -m training.evaluate`` wrote, and says how mIoU_occ (``c2f``, raw) depends on
the share that is hidden, and what it would be without some of what the masks add wrongly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.masks import dilate_mask
from amodal_ros.image.rle import decode_rle
from training.evaluation.report import print_about

Mask = NDArray[np.bool_]

SHARES = (0, 1, 2, 5, 10, 20, 40, 60, 100)  # percent hidden
_RADII = (1, 2, 3)  # pixels


def without_errors(predicted: Mask, amodal: Mask, visible: Mask) -> dict[str, float]:
    """IoU of the hidden part as it is, and without some of what was added wrongly.

    Args:
        predicted: (H, W) bool, the amodal mask.
        amodal: (H, W) bool, the whole object, of which something must be hidden.
        visible: (H, W) bool, what is seen of it.

    Returns:
        IoU in [0, 1] by what was taken away from the mask.
    """
    hidden, added = amodal & ~visible, predicted & ~visible
    _, pieces = cv2.connectedComponents(added.astype(np.uint8), connectivity=8)
    touching = added & np.isin(pieces, np.unique(pieces[added & hidden]))
    kept = {"as it is": added, "pieces that touch nothing hidden": touching}
    for radius in _RADII:
        edge = dilate_mask(amodal, radius) & ~amodal
        kept[f"what lies within {radius} px outside the true outline"] = added & ~edge
    kept["all that is wrong"] = added & hidden
    return {name: float((m & hidden).sum() / (m | hidden).sum()) for name, m in kept.items()}


def hidden_errors(records: Iterable[dict[str, Any]]) -> str:
    """Both tables as Markdown, over the records of partly hidden objects.

    Raises:
        InvalidInputError: none is partly hidden.
    """
    shares: list[float] = []
    found: list[dict[str, float]] = []
    for record in records:
        amodal, visible = decode_rle(record["amodal"]), decode_rle(record["visible"])
        if not (amodal & ~visible).any():
            continue
        shares.append(100 * float((amodal & ~visible).sum() / amodal.sum()))
        found.append(without_errors(decode_rle(record["prediction"]), amodal, visible))
    if not found:
        raise InvalidInputError("expected records of partly hidden objects, got none")
    hidden, now = np.array(shares), 100 * np.array([f["as it is"] for f in found])
    lines = ["| hidden | objects | mIoU_occ |", "|---|---:|---:|"]
    for low, high in pairwise(SHARES):
        inside = (hidden >= low) & ((hidden < high) | (high == SHARES[-1]))
        mean = f"{now[inside].mean():.1f}" if inside.any() else "–"
        lines.append(f"| {low} to {high} % | {int(inside.sum())} | {mean} |")
    lines += ["", "| without | mIoU_occ |", "|---|---:|"]
    for name in found[0]:
        lines.append(f"| {name} | {100 * np.mean([f[name] for f in found]):.2f} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print both tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("instances", type=Path, help="instances.jsonl of an evaluation")
    given = parser.parse_args(argv)
    return print_about(given.instances, hidden_errors)


if __name__ == "__main__":
    sys.exit(main())
