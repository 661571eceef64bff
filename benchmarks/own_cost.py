# SPDX-License-Identifier: Apache-2.0
"""What the node itself costs in a frame: all but the engine, in processor time, by stage.

An engine that computes next to nothing stands in, and its time is taken off. What it answers costs
the tracker what a model's answers do: visible and whole masks, and embeddings that tell an object
from what is around it. Processor time of one thread says the same on a busy machine as on an idle
one, but for caches that others empty.

    python -m benchmarks.own_cost --objects 4 8 --document docs/performance.md
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import ModelManifest, default_model_dir, load_manifest
from amodal_ros.occlusion.memory import OcclusionMemory
from amodal_ros.reporting import mark, markdown_table, put_block, summarise
from amodal_ros.tracking.asking import ask
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject, TrackPlan
from amodal_ros.types import AmodalPrediction, Detections
from benchmarks.common import RESULTS, write_result
from benchmarks.streaming.clip import FPS, Mosaic

FRAME_LIMIT_MS, FRAME_OBJECTS = 20.0, 4
TRACKING_LIMIT_MS, TRACKING_OBJECTS = 5.0, 8
WARM_FRAMES = 3
TRACKING = ("plan", "update")


class StandIn:
    """An engine for mode `roi`: ellipses in the boxes, the whole ones grown by M_spec."""

    name = "stand-in"

    def __init__(self, manifest: ModelManifest) -> None:
        self._graphs = manifest.graphs
        size, low = manifest.image_size, manifest.low_res_size
        rng = np.random.default_rng(0)
        self._noise = cv2.GaussianBlur(rng.normal(0, 8, (low, low)).astype(np.float32), (0, 0), 5)
        middles = ((np.arange(low) + 0.5) * size / low).astype(np.float32)
        self._x, self._y = middles[None], middles[:, None]
        looks = rng.normal(0, 1, (3, 256, 1, 1)).astype(np.float32)
        self._common, self._on, self._off = 2 * looks[0], looks[1], looks[2]
        self.spent_s = 0.0

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of the graph's shapes."""
        begun_s = time.thread_time()
        rows = max(len(values) for values in inputs.values())
        outputs = {}
        for spec in self._graphs[graph].outputs:
            sides = (side for side in spec.shape[1:] if isinstance(side, int))
            outputs[spec.name] = np.zeros((rows, *sides), np.float32)
        if graph == "suffix":
            outputs["embeddings"] += self._embeddings(inputs["prior_masks"][:, 0])
        if graph == "decoder":
            outputs["predicted_iou"][:] = 0.9
            for row, corners in enumerate(inputs["point_coords"]):
                whole, visible = self._logits(corners, inputs, row)
                outputs["low_res_logits"][row, 0] = whole
                if "visible_logits" in outputs:
                    outputs["visible_logits"][row, 0] = visible
        self.spent_s += time.thread_time() - begun_s
        return outputs

    def interrupt(self) -> None:
        """Nothing goes on."""

    def close(self) -> None:
        """Nothing is held."""

    def _embeddings(self, priors: np.ndarray) -> np.ndarray:
        """(N, 256, s, s): a look where M_spec (N, S, S) is and one beside, with much in common."""
        outputs = {spec.name: spec.shape for spec in self._graphs["suffix"].outputs}
        side = int(outputs["embeddings"][-1])
        cells = [cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA) for one in priors]
        cover = np.array(cells)[:, None]
        return np.asarray(self._common + cover * self._on + (1 - cover) * self._off)

    def _logits(
        self, corners: np.ndarray, inputs: Mapping[str, np.ndarray], row: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Those of the whole object and of what is visible of it."""
        middle, half = corners[:2].mean(axis=0), np.ptp(corners[:2], axis=0) / 2 + 1
        away = ((self._x - middle[0]) / half[0]) ** 2 + ((self._y - middle[1]) / half[1]) ** 2
        logits = visible = 6 * (1 - away) + 0.5 * self._noise
        if "prior_masks" in inputs:
            step = inputs["prior_masks"].shape[-1] // len(logits)
            prior = inputs["prior_masks"][row, 0, ::step, ::step]
            logits = logits + inputs["adapter_gain"][row] * (prior - 0.5)
        return np.asarray(logits, np.float32), np.asarray(visible, np.float32)


class Watch:
    """Processor time of one frame by stage, in milliseconds, without the stand-in's."""

    def __init__(self, engine: StandIn) -> None:
        self._engine = engine
        self.stages_ms: dict[str, float] = {}

    def time(self, stage: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """What a call gives."""
        engine_s, begun_s = self._engine.spent_s, time.thread_time()
        found = call(*arguments)
        own_s = time.thread_time() - begun_s - (self._engine.spent_s - engine_s)
        self.stages_ms[stage] = self.stages_ms.get(stage, 0.0) + own_s * 1e3
        return found


def run(objects: int, frames: int, hw: tuple[int, int]) -> list[dict[str, float]]:
    """Stages of each frame: the demo clip four times in one picture, all objects detected."""
    from rclpy.serialization import serialize_message
    from std_msgs.msg import Header

    from amodal_ros.ros.convert.images import image_to_rgb, rgb_to_image
    from amodal_ros.ros.convert.masks import encode_masks
    from amodal_ros.ros.convert.stamps import ns_to_stamp

    manifest = load_manifest(default_model_dir())
    engine, mosaic = StandIn(manifest), Mosaic(objects)
    tracker, memory = AmodalTracker(), OcclusionMemory()
    predictor = AmodalPredictor(manifest, engine, max_batch=2, ask_twice=True, fine_edges=True)
    scale = np.tile(np.array(hw[::-1]) / mosaic.hw[::-1], 2)

    def answer(rgb: np.ndarray, plan: TrackPlan) -> AmodalPrediction:
        return ask(predictor, predictor.encode(rgb), plan)

    def message(objects: Sequence[TrackedObject], number: int) -> bytes:
        header = Header(stamp=ns_to_stamp(round(number / FPS * 1e9)))
        return serialize_message(encode_masks(objects, header, hw, memory=memory).message)

    rows = []
    for number in range(frames + WARM_FRAMES):
        picture = cv2.resize(mosaic.picture(number), hw[::-1], interpolation=cv2.INTER_AREA)
        boxes = mosaic.boxes(number)
        found = Detections.from_boxes(
            np.array([*boxes.values()]) * scale, detection_ids=list(boxes)
        )
        watch = Watch(engine)
        rgb = watch.time("convert", image_to_rgb, rgb_to_image(picture, Header()))
        plan = watch.time("plan", tracker.plan, found, number / FPS, hw, rgb)
        watch.time("plan", getattr, plan, "prior_masks")  # made when they are first asked for
        prediction = watch.time("predictor", answer, rgb, plan)
        tracked = watch.time("update", tracker.update, plan, prediction)
        watch.time("message", message, tracked, number)
        rows.append(watch.stages_ms)
    return rows[WARM_FRAMES:]


def summary(rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Milliseconds of each stage, of tracking and of all."""
    found = {stage: summarise(row[stage] for row in rows) for stage in rows[0]}
    tracking = summarise(sum(row[stage] for stage in TRACKING) for row in rows)
    return {**found, "tracking": tracking, "all": summarise(sum(row.values()) for row in rows)}


def cost_markdown(document: Mapping[str, Any]) -> str:
    """The table of a result file, and its marks."""
    found, machine = document["results"]["milliseconds"], document["machine"]
    height, width = document["settings"]["hw"]
    stages = list(next(iter(found.values())))
    table = [["objects", *stages]]
    for count, one in found.items():
        table.append([count, *(f"{one[stage]['median']:.1f}" for stage in stages)])
    marks = [["mark", "measured ms", "at most ms", ""]]
    for name, one in document["results"]["marks"].items():
        met = "met" if one["met"] else "**missed**"
        marks.append([name.replace("_", " "), f"{one['value']:.1f}", f"{one['limit']:.1f}", met])
    head = (
        f"Commit {document['commit']}, {document['date'][:10]}; {machine['cpu']}; load average"
        f" {machine['load_average_1min']}.\nMedians of {document['settings']['frames']} frames of"
        f" {width}x{height} in milliseconds."
    )
    return "\n".join([head, "", markdown_table(table, 0), "", markdown_table(marks)])


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 1 when a mark is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.own_cost", description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--out", type=Path, default=RESULTS / "own_cost.json")
    parser.add_argument("--document", type=Path, help="whose table is written anew")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    hw = options.height, options.width
    found = {str(n): summary(run(n, options.frames, hw)) for n in options.objects}
    marks = {}
    if str(FRAME_OBJECTS) in found:
        median = found[str(FRAME_OBJECTS)]["all"]["median"]
        marks["frame_of_four_objects"] = mark(median, FRAME_LIMIT_MS, "ms")
    if str(TRACKING_OBJECTS) in found:
        median = found[str(TRACKING_OBJECTS)]["tracking"]["median"]
        marks["tracking_of_eight_objects"] = mark(median, TRACKING_LIMIT_MS, "ms")
    settings = {"frames": options.frames, "hw": list(hw), "time": "processor time of one thread"}
    write_result(options.out, "own cost", settings, {"milliseconds": found, "marks": marks})
    if options.document is not None:
        document = json.loads(options.out.read_text(encoding="utf-8"))
        put_block(options.document, "own cost", cost_markdown(document))
    for count, stages in found.items():
        print(count, "objects:", {name: one["median"] for name, one in stages.items()})
    return 0 if all(one["met"] for one in marks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
