# SPDX-License-Identifier: Apache-2.0
"""Memory and latency of the node over an hour of a replayed clip.

The node is a process of its own; this one plays the demo clip over and over with boxes of some of
its objects, each frame after the answer to the last one and at least ``--period`` seconds after
it. Written: a JSON file and a picture. The exit status is 1 if a mark is missed.

    python -m benchmarks.soak
    python -m benchmarks.soak --minutes 5 --period 2 --threads 1 --model FOLDER
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amodal_ros.annotations.amodal_coco import load_annotations
from amodal_ros.reporting import git_commit, print_marks
from amodal_ros.ros.convert.box_plan import plan_from_annotations
from amodal_ros.ros.demo.sources import CLIP_ANNOTATIONS, CLIP_VIDEO, open_source
from benchmarks.common import RESULTS, ROOT, model_facts, write_result
from benchmarks.lockstep_camera import LockstepCamera, Scene
from benchmarks.node_process import NodeProcess, node_and_camera, own_network

if TYPE_CHECKING:
    from benchmarks.soak.judgement import Sample

# A slow node sees every n-th frame of a camera. With 5, no divisor of the clip's length, any ten
# frames in a row are spread over the whole clip, and all parts of a run show the same.
_STRIDE = 5
# The engine's parts of `amodal/timing`.
_ENGINE = ("prefix", "suffix", "decoder")


def replayed_clip(objects: int) -> Iterator[Scene]:
    """Every fifth frame of the clip, over and over, so that in five rounds each was there.

    Args:
        objects: so many of its objects have a box, where they are not hidden almost wholly.

    Raises:
        InvalidInputError: if the clip cannot be read.
    """
    annotations = load_annotations(CLIP_ANNOTATIONS)
    plan = plan_from_annotations(annotations)
    names = list(dict.fromkeys(record["name"] for record in annotations["annotations"]))[:objects]
    scenes = []
    for index, picture in enumerate(open_source(str(CLIP_VIDEO)).frames()):
        boxes = {prompt.detection_id: prompt.box_xyxy for prompt in plan.of(index)}
        kept = {name: box for name, box in boxes.items() if name in names}
        scenes.append(Scene(picture, kept))
    return (scenes[number * _STRIDE % len(scenes)] for number in count())


# An answer that takes longer counts as lost; after so many in a row the node counts as dead.
_PATIENCE_S = 180.0
_MOST_UNANSWERED = 3


def run(options: argparse.Namespace) -> tuple[list[Sample], dict[str, int]]:
    """Play the clip; returns one sample for each frame, and the node's losses."""
    parameters = {"threads": options.threads}
    scenes = replayed_clip(options.objects)
    with node_and_camera(parameters, options.model, scenes) as (node, camera):
        camera.connect()
        return _play(node, camera, options)


def _play(
    node: NodeProcess, camera: LockstepCamera, options: argparse.Namespace
) -> tuple[list[Sample], dict[str, int]]:
    samples: list[Sample] = []
    losses: dict[str, int] = {}
    unanswered = in_a_row = 0
    start = time.monotonic()
    while (began := time.monotonic()) - start < options.minutes * 60:
        try:
            timing = camera.frame(_PATIENCE_S)
        except TimeoutError:  # a lost frame costs itself, not the hour
            unanswered, in_a_row = unanswered + 1, in_a_row + 1
            if in_a_row == _MOST_UNANSWERED:
                raise
            continue
        in_a_row, losses = 0, camera.losses()
        samples.append(_sample(node, timing, (time.monotonic() - start) / 60))
        camera.spin_for(began + options.period - time.monotonic())
    return samples, {**losses, "frames_without_answer": unanswered}


def _sample(node: NodeProcess, timing: dict[str, float], minute: float) -> Sample:
    from benchmarks.soak.judgement import Sample

    return Sample(
        minute=minute,
        rss_mib=node.rss_mib(),
        total_ms=timing["total"],
        engine_ms=sum(timing[part] for part in _ENGINE),
        objects=int(timing["objects"]),
        threads=node.threads(),
        open_files=node.open_files(),
    )


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument(
        "--period", type=float, default=0.0, help="least seconds from frame to frame (default: 0)"
    )
    parser.add_argument("--objects", type=int, default=4, help="objects with boxes (default: 4)")
    parser.add_argument("--threads", type=int, default=2, help="of the engine (default: 2)")
    parser.add_argument("--model", type=Path, help="model folder (default: the packaged one)")
    parser.add_argument("--out", type=Path, default=RESULTS / "soak.json")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "images" / "soak.png")
    return parser.parse_args(argv)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """What runs: read before the run, since an hour later the files may be others."""
    places = ("out", "picture", "model")
    return {
        **{k: v for k, v in vars(options).items() if k not in places},
        **model_facts(options.model),
        "commit_at_start": git_commit(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run, write JSON and picture; returns 1 if a mark is missed."""
    options = parse_arguments(argv)
    from benchmarks.soak.judgement import judge, write_picture

    own_network()
    settings = _settings(options)
    samples, losses = run(options)
    results = judge(samples, losses)
    write_result(options.out, "soak of the perception node", settings, results)
    write_picture(options.picture, samples)
    print_marks(results["marks"])
    print(f"{len(samples)} frames; {options.out}, {options.picture}")
    return 0 if all(entry["met"] for entry in results["marks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
