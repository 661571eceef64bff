# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.occlusion``: who hides whom, from true masks and from the model's.

The model is prompted with the true visible boxes. Each is measured without and with a depth image
that is as noisy as a depth camera's. With ``--clips`` the objects of clips are followed, and the
order of each image alone is compared with the one that minds earlier images.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amodal_ros.image.cropped import CroppedMask
    from benchmarks.occlusion.clips import ClipOrderScore
    from benchmarks.occlusion.scenes import OcclusionScene
    from benchmarks.occlusion.scores import OrderScore

logger = logging.getLogger(__name__)

BASELINE = "smaller visible share is behind"


def main(argv: Sequence[str] | None = None) -> int:
    """Render, ask the model, compare; 1 with a message when something cannot be used."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    from amodal_ros.errors import AmodalError

    try:
        scores = measure_on_clips(arguments) if arguments.clips else measure(arguments)
    except (AmodalError, OSError) as error:
        logger.error("%s", error)
        return 1
    from benchmarks.common import RESULTS, model_facts, write_result

    names = ("clips", "frame_rate") if arguments.clips else ("scenes", "seed", "objects")
    settings = {**{name: getattr(arguments, name) for name in names}}
    if arguments.clips:
        settings["clips"] = [place.name for place in arguments.clips]
    results = {name: score.as_dict() for name, score in scores.items()}
    out = arguments.out or RESULTS / f"occlusion{'_clips' * bool(arguments.clips)}.json"
    write_result(out, "occlusion", {**settings, **model_facts(arguments.model)}, results)
    for name, figures in results.items():
        logger.info("%s: %s", name, figures)
    logger.info("wrote %s", out)
    return 0


def measure_on_clips(arguments: argparse.Namespace) -> Mapping[str, ClipOrderScore]:
    """The scores of each image alone, and with earlier images."""
    from amodal_ros.errors import InvalidInputError
    from amodal_ros.loading import load_predictor
    from benchmarks.occlusion.clips import REMEMBERED, measure_clips
    from benchmarks.tracking.clips import RenderedClip, find_clips

    sources = find_clips(arguments.clips, None, 1, arguments.frame_rate)
    for source in sources:
        if not isinstance(source, RenderedClip):
            raise InvalidInputError(
                f"{source.name}: expected rendered clips, which tell whole objects, got labels of "
                "what is seen"
            )
    predictor = load_predictor(arguments.model)
    scores: Mapping[str, ClipOrderScore] = {}
    for scores in measure_clips(sources, predictor):
        done = scores[REMEMBERED].order
        logger.info("%d of %d pairs right so far", done.right, done.pairs)
    predictor.close()
    return scores


def measure(arguments: argparse.Namespace) -> Mapping[str, OrderScore]:
    """The scores of each way, by its name."""
    from amodal_ros.image.cropped import CroppedMask
    from amodal_ros.loading import load_predictor
    from benchmarks.occlusion.scenes import rendered_scenes

    predictor = load_predictor(arguments.model)
    scores: dict[str, OrderScore] = {}
    rendered = rendered_scenes(
        arguments.objects, arguments.seed, arguments.scenes, arguments.workers
    )
    for scene in rendered:
        true = [
            [CroppedMask.of(mask) for mask in masks] for masks in (scene.visible, scene.amodal)
        ]
        _add(scores, "true masks", scene, *true)
        boxes = [mask.box_xyxy for mask in true[0]]
        prediction = predictor.predict(predictor.encode(scene.image), boxes)
        _add(scores, "model", scene, prediction.visible, prediction.amodal)
        done = scores["model"]
        logger.info("%d of %d pairs right so far", done.right, done.pairs)
    predictor.close()
    return scores


def _add(
    scores: dict[str, OrderScore],
    masks: str,
    scene: OcclusionScene,
    visible: Sequence[CroppedMask],
    amodal: Sequence[CroppedMask],
) -> None:
    """Count a scene for all that can be made of some masks."""
    from amodal_ros.occlusion.graph import occlusion_graph
    from benchmarks.occlusion.scores import OrderScore, by_visible_share

    for name, depth_m in ((masks, None), (f"{masks}, depth", scene.depth_m)):
        graph = occlusion_graph(visible, amodal, depth_m)
        scores.setdefault(name, OrderScore()).add(scene, graph)
    baseline = scores.setdefault(f"{masks}, {BASELINE}", OrderScore())
    baseline.add_order(scene, by_visible_share(visible, amodal))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.occlusion",
        description="Measure who hides whom on rendered tabletop scenes.",
    )
    parser.add_argument("--scenes", type=int, default=40, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--objects", choices=("household", "second", "slender"), default="household"
    )
    parser.add_argument("--model", type=Path, help="model folder (default: the packaged one)")
    parser.add_argument("--workers", type=int, default=1, help="that render (default: 1)")
    parser.add_argument(
        "--clips",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="follow the objects of rendered clips (benchmarks.tabletop) instead of scenes",
    )
    parser.add_argument(
        "--frame-rate", type=float, default=12.0, help="of the clips, Hz (default: %(default)s)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="default: benchmarks/results/occlusion.json, or occlusion_clips.json",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
