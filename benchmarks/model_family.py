# SPDX-License-Identifier: Apache-2.0
"""Count parameters and FLOPs of every member of the family, for ``docs/model-family.md``.

``python -m benchmarks.model_family`` rewrites the tables in the document, ``--check`` says whether
they are stale. Nothing is computed: the models are built without weights and the operations of one
forward pass at 1024 x 1024 are counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amodal_ros.modeling.cost import Cost

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "model-family.md"


def row(cost: Cost) -> str:
    """Write one row of the table."""
    where = cost.variant.where.format(", ".join(map(str, cost.positions)))
    millions = [n / 1e6 for n in (cost.base_parameters, cost.encoder_parameters)]
    giga = [
        n / 1e9
        for n in (cost.encoder_flops, cost.adapter_flops, cost.prefix_flops, cost.suffix_flops)
    ]
    cells = [
        cost.variant.encoder,
        where,
        *(f"{value:.1f}" for value in millions),
        f"{cost.adapter_parameters / 1e6:.2f}",
        f"{cost.wide_parameters / 1e6:.1f}",
        *(f"{value:.1f}" for value in giga),
        f"{cost.wide_flops / 1e9:.0f}",
        f"{100 * cost.suffix_share:.0f} %",
        f"{cost.shared_ratio:.2f}",
        f"{cost.decoder_flops / 1e9:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


HEADER = (
    "| Encoder | adapters before | base M | encoder M | adapters M | full-width M | encoder GFLOP "
    "| + adapters | prefix | suffix | + full-width | suffix share | 8 objects / naive "
    "| decoder GFLOP |\n|---|---|" + "---:|" * 12
)


def stale_rows(document: str, rows: Sequence[str]) -> list[str]:
    """Return the rows that the document does not hold."""
    return [line for line in rows if line not in document]


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite the document, or check it; returns 1 when a check finds it stale."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.model_family")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument(
        "--only", nargs="*", metavar="MEMBER", help="with --check: look at these members alone"
    )
    options = parser.parse_args(argv)
    if options.only and not options.check:
        parser.error("--only goes with --check")
    from amodal_ros.modeling.cost import VARIANTS, cost_of

    chosen = [v for v in VARIANTS if not options.only or v.base in options.only]
    rows = [row(cost_of(variant)) for variant in chosen]
    document = DOCUMENT.read_text(encoding="utf-8")
    if not options.check:
        from amodal_ros.reporting import put_block

        table = "\n".join([HEADER, *rows])
        put_block(DOCUMENT, "family", table)
        return 0
    stale = stale_rows(document, [HEADER, *rows])
    for line in stale:
        print(f"{DOCUMENT.name} lacks: {line}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
