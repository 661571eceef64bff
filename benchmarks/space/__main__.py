# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.space``: centre and size of 3D boxes in rendered RGB-D scenes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amodal_ros.inference.predictor import AmodalPredictor
    from benchmarks.space.scenes import RgbdScene
    from benchmarks.space.scores import BoxScore, Masks

# Shares of an object that are hidden, by its true masks.
BUCKETS = ((0.0, 0.05), (0.05, 0.3), (0.3, 0.6), (0.6, 1.0))


@dataclass(frozen=True)
class Row:
    """One object with one kind of masks."""

    hidden: float
    scores: dict[str, BoxScore | None]


def main(argv: Sequence[str] | None = None) -> int:
    """Render, locate, compare; write the JSON and print the table."""
    arguments = _parser().parse_args(argv)

    from amodal_ros.loading import load_predictor
    from benchmarks.common import RESULTS, model_facts, write_result
    from benchmarks.space.picture import draw_boxes
    from benchmarks.tabletop.assets import default_cache, prepare_assets
    from benchmarks.tabletop.catalog import OBJECT_SETS
    from benchmarks.tabletop.shots import HW

    catalogue = OBJECT_SETS[arguments.objects]
    assets = prepare_assets(arguments.objects, default_cache())
    rows: dict[str, list[Row]] = {}
    predictor = None if arguments.true_masks else load_predictor()
    for number, scene in enumerate(_scenes(assets, catalogue, arguments)):
        if arguments.picture is not None and number == arguments.picture_of:
            draw_boxes(scene, BUCKETS[-2][0], arguments.picture)
        for kind, masks in _masks(scene, predictor):
            rows.setdefault(kind, []).extend(_rows(scene, masks))
    results = {kind: summary(of_kind) for kind, of_kind in rows.items()}
    settings = {
        "scenes": arguments.scenes,
        "seed": arguments.seed,
        "objects": arguments.objects,
        "image": f"{HW[1]}x{HW[0]}",
        **({} if arguments.true_masks else model_facts(None)),
    }
    write_result(arguments.out or RESULTS / "space.json", "space", settings, results)
    print("\n".join(table(results)))
    return 0


def _scenes(
    assets: Path, catalogue: Sequence[Any], arguments: argparse.Namespace
) -> Iterator[RgbdScene]:
    from rich.progress import track

    from benchmarks.space.scenes import render_scene
    from training.worker_processes import in_processes

    render = partial(render_scene, assets, catalogue, arguments.seed)
    numbers = range(arguments.scenes)
    made = in_processes(render, numbers, arguments.workers, in_order=True)
    yield from track(made, "rendering and locating", total=arguments.scenes)


def _masks(
    scene: RgbdScene, predictor: AmodalPredictor | None
) -> Iterator[tuple[str, list[Masks]]]:
    """True masks, and those of the model from boxes about the true visible ones."""
    yield "true masks", [(entry.visible, entry.amodal) for entry in scene.objects]
    if predictor is None or not scene.objects:
        return
    import numpy as np

    from amodal_ros.image.masks import mask_boxes

    boxes = mask_boxes(np.stack([entry.visible for entry in scene.objects]))
    found = predictor.predict(predictor.encode(scene.image), boxes.astype(np.float32))
    masks = zip(found.visible_masks, found.amodal_masks, strict=True)
    yield "the shipped model's masks", [(visible, amodal) for visible, amodal in masks]


def _rows(scene: RgbdScene, masks: list[Masks]) -> list[Row]:
    from benchmarks.space.scores import scene_scores

    rows = []
    for number, scores in scene_scores(scene, masks):
        entry = scene.objects[number]
        hidden = 1 - float(entry.visible.sum()) / float(entry.amodal.sum())
        rows.append(Row(hidden, scores))
    return rows


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Medians by share hidden and contestant, in millimetres."""
    buckets = {"all": rows}
    for low, high in BUCKETS:
        name = f"{low:.0%} to {high:.0%} hidden"
        last = high == BUCKETS[-1][1]
        buckets[name] = [row for row in rows if low <= row.hidden and (row.hidden < high or last)]
    return {name: _bucket(of_bucket) for name, of_bucket in buckets.items() if of_bucket}


def _bucket(rows: Sequence[Row]) -> dict[str, Any]:
    import numpy as np

    found: dict[str, Any] = {"objects": len(rows)}
    for name in rows[0].scores:
        scores = [row.scores[name] for row in rows]
        known = [entry for entry in scores if entry is not None]
        centre = np.array([entry.centre_m for entry in known]) * 1e3
        size = np.array([entry.size_m for entry in known]) * 1e3
        found[name] = {
            "without_box": len(scores) - len(known),
            "centre_mm_median": round(float(np.median(centre)), 1),
            "centre_mm_p90": round(float(np.percentile(centre, 90)), 1),
            "size_mm_median": round(float(np.median(size)), 1),
            "size_mm_p90": round(float(np.percentile(size, 90)), 1),
            "iou_mean": round(float(np.mean([entry.iou for entry in known])), 3),
            "centres_within_95_percent": round(
                float(np.mean([entry.covered for entry in known])), 3
            ),
        }
    return found


def table(results: dict[str, Any]) -> list[str]:
    """Markdown."""
    lines = [
        "| Masks | Objects | Box | Centre, median (90 %) mm | Size, median (90 %) mm | IoU |",
        "|---|---|---|---:|---:|---:|",
    ]
    for kind, buckets in results.items():
        for bucket, entry in buckets.items():
            for name, values in entry.items():
                if name == "objects":
                    continue
                lines.append(
                    f"| {kind} | {bucket} ({entry['objects']}) | {name} | "
                    f"{values['centre_mm_median']:.1f} ({values['centre_mm_p90']:.0f}) | "
                    f"{values['size_mm_median']:.1f} ({values['size_mm_p90']:.0f}) | "
                    f"{values['iou_mean']:.2f} |"
                )
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.space", description=__doc__)
    parser.add_argument("--scenes", type=int, default=24, metavar="N", help="scenes (24)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of everything (1)")
    parser.add_argument(
        "--objects", choices=("household", "second", "slender"), default="household"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (1)")
    parser.add_argument(
        "--true-masks", action="store_true", help="with true masks alone, without the model"
    )
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="draw true boxes (white), ours (green) and those of visible points (red) into it",
    )
    parser.add_argument(
        "--picture-of", type=int, default=0, metavar="N", help="scene of the picture (0)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="benchmarks/results/space.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
