# SPDX-License-Identifier: Apache-2.0
"""``python -m training.pair_order``: how much each witness of an occlusion pair counts."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.pair_order.pictures import Predict

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Ask the model, fit, write; 1 with a message when something cannot be used."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    from amodal_ros.errors import AmodalError
    from amodal_ros.files import write_text

    try:
        learned = learn(arguments)
        write_text(arguments.out, json.dumps(learned, indent=1) + "\n")
    except (AmodalError, OSError) as error:
        logger.error("%s", error)
        return 1
    logger.info("wrote %s: %s", arguments.out, learned)
    return 0


def learn(arguments: argparse.Namespace) -> dict[str, Any]:
    """Weights by the witnesses' names, and what they were learned from.

    Raises:
        InvalidInputError: there are no pictures, or no pairs.
        CorruptRecordError: a picture cannot be read.
    """
    import numpy as np

    from amodal_ros.errors import InvalidInputError
    from amodal_ros.loading import load_predictor
    from amodal_ros.occlusion.pair_weights import WITNESSES
    from training.pair_order.fit import fit, held_out
    from training.pair_order.pictures import cached_rows, pictures_of

    pictures = [one for folder in arguments.scenes for one in pictures_of(folder, arguments.views)]
    arguments.cache.mkdir(parents=True, exist_ok=True)
    rows: list[list[float]] = []
    scenes: list[str] = []
    with closing(load_predictor(arguments.model)) as predictor:
        predict = _asking(predictor)
        for number, picture in enumerate(pictures, start=1):
            found = cached_rows(picture, predict, arguments.cache)
            rows += found
            scenes += [picture.scene] * len(found)
            if number % 20 == 0:
                logger.info("%d of %d pictures, %d pairs", number, len(pictures), len(rows))
    if not rows:
        raise InvalidInputError(f"{arguments.scenes}: expected objects that overlap")
    table = np.array(rows)
    values, truth = table[:, :-1], table[:, -1] > 0
    told = held_out(values, truth, scenes, arguments.ridge)
    weights = fit(values, truth, arguments.ridge)
    return {
        "weights": dict(zip(WITNESSES, weights.round(4).tolist(), strict=True)),
        "pairs": len(rows),
        "scenes": len(set(scenes)),
        "ridge": arguments.ridge,
        "held_out_accuracy": round(told.accuracy, 4),
        "held_out_loss": round(told.loss, 4),
    }


def _asking(predictor: Any) -> Predict:
    def predict(image: Any, boxes: Sequence[Any]) -> tuple[Any, Any]:
        prediction = predictor.predict(predictor.encode(image), boxes)
        return prediction.visible, prediction.amodal

    return predict


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.pair_order",
        description="Learn from rendered scenes how much each witness counts that one of two "
        "objects lies in front of the other.",
        epilog="A killed run goes on where it stopped when the same command is given again.",
    )
    add = parser.add_argument
    add("--scenes", type=Path, required=True, nargs="+", metavar="DIR", help="of training.scenes")
    add("--views", type=int, metavar="V", help="pictures of each scene (all)")
    add("--model", type=Path, help="model folder (the packaged one)")
    add("--ridge", type=float, default=0.1, metavar="X", help="default: %(default)s")
    add("--cache", type=Path, required=True, metavar="DIR", help="what was asked already")
    add("--out", type=Path, required=True, metavar="FILE", help="the weights")
    return parser


if __name__ == "__main__":
    sys.exit(main())
