# SPDX-License-Identifier: Apache-2.0
"""Figures that stand in documents by hand agree with the result files and the generated tables.

A benchmark that is run anew writes its own table (`--document`). What a summary repeats of it is
written by hand: here it is looked up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from amodal_ros.reporting import generated_block

ROOT = Path(__file__).resolve().parents[1]
SETS = ("stills", "second", "slender", "real")


def results(name: str) -> Any:
    """What a benchmark found."""
    text = (ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8")
    return json.loads(text)["results"]


@cache
def words_of(document: str) -> str:
    """A document in which line breaks are spaces."""
    return " ".join((ROOT / document).read_text(encoding="utf-8").split())


def played(name: str) -> dict[tuple[str, int, float], Mapping[str, Any]]:
    """Rows of a streaming result by contestant, objects and rate (0: offline)."""
    return {
        (row["contestant"], row["objects"], row["rate_hz"]): row for row in results(name)["rows"]
    }


def share(rows: Mapping[Any, Any], contestant: str, objects: int, rate_hz: float) -> str:
    """Of offline's mIoU_full."""
    whole = rows["offline", objects, 0.0]["miou_full"]
    return f"{rows[contestant, objects, rate_hz]['miou_full'] / whole:.2f}"


def many_objects() -> Iterator[tuple[str, str]]:
    rows = {row["n_objects"]: row for row in results("many_objects")}
    yield "docs/performance.md", f"| one object, both masks | {rows[1]['ours_ms']:.0f} ms |"
    small = f"at the smaller size {rows[8]['ours_small_ms']:.0f} ms |"
    yield "docs/performance.md", f"looks at all | {rows[8]['ours_ms']:.0f} ms; {small}"
    one, both = (f"{rows[16][name]:.0f} MB" for name in ("rss_mb", "rss_both_mb"))
    yield "docs/performance.md", f"| {one}, with both sizes {both} |"
    yield "docs/performance.md", f"takes {one} at 448 px alone and {both} with 320 px beside it"


def streaming() -> Iterator[tuple[str, str]]:
    rows = played("streaming")
    row = rows["budget", 8, 10.0]
    answers = (
        f"{row['answers_hz']:.0f} answers/s, each {row['delay_ms'][0]:.0f} ms after its image"
    )
    yield "docs/performance.md", answers
    yield "docs/performance.md", f"(median); {share(rows, 'budget', 8, 10.0)} of the mIoU_full"
    slow = f"{rows['no budget', 8, 10.0]['answers_hz']:.1f} answers/s"
    yield "docs/performance.md", f"| {slow}; {share(rows, 'no budget', 8, 10.0)} of that"
    yield "README.md", f"reaches {share(rows, 'budget', 8, 10.0)} of the mIoU"


def all_rates() -> Iterator[tuple[str, str]]:
    rows = played("streaming_virtual_rates")
    for objects in (2, 4, 8, 16):
        cells = [
            ", ".join(share(rows, name, objects, rate) for name in ("budget", "budget, ahead"))
            for rate in (5.0, 10.0, 30.0)
        ]
        yield "docs/performance.md", f"| {objects} | {' | '.join(cells)} |"


def engines() -> Iterator[tuple[str, str]]:
    names = {
        "onnxruntime": "ONNX Runtime",
        "openvino": "OpenVINO bf16",
        "openvino:CPU,f32": "OpenVINO f32",
    }
    for key, name in names.items():
        took = results("engines")[key]["frame_ms"]
        times = " | ".join(f"{took[objects]['median']:.0f}" for objects in ("1", "8"))
        yield "docs/performance.md", f"| {name} | {times} |"


def region_sizes() -> Iterator[tuple[str, str]]:
    for row in results("region_sizes")["rows"][-3:]:
        figures = f"{row['miou_full']:.1f} | {row['miou_occ']:.1f} | {row['median_ms']:.1f}"
        yield "docs/performance.md", f"| {row['size']} | {figures} |"


def own_cost() -> Iterator[tuple[str, str]]:
    median = results("own_cost")["milliseconds"]["4"]["all"]["median"]
    yield "docs/performance.md", f"four objects | {median:.0f} ms of one core"


def tracking() -> Iterator[tuple[str, str]]:
    (found,) = results("tracking_fresh")["settings"].values()
    for name in ("feedback", "box as M_spec", "plain IoU"):
        one = found["variants"][name]
        whole = one["groups"]["all"]
        figures = f"{one['j']:.2f} | {whole['miou_full']:.2f} | {whole['miou_occ']:.2f} |"
        yield "docs/tracking.md", f"| {name} | {figures}"
        yield "docs/tracking.md", f"| {one['survived']} of {one['hidden_events']} |"
    given = results("tracking_video")["settings"]["given"]["variants"]
    detected = results("tracking_video_detected")["settings"]
    columns = [given, *(detected[f"detected, errors {k}"]["variants"] for k in (0, 1))]
    names = {
        "this tracker": ("feedback", "feedback"),
        "the same, box as M_spec": ("box as M_spec", "box as M_spec"),
        "the last visible mask's box, 6 % larger": ("box propagation", ""),
        "each box by itself": ("", "no feedback"),
        "plain IoU": ("", "plain IoU"),
    }
    for label, (of_given, of_detected) in names.items():
        cells = [
            f"{variants[name]['j']:.2f}, {variants[name]['f']:.2f}" if name else "–"
            for variants, name in zip(columns, (of_given, of_detected, of_detected), strict=True)
        ]
        yield "docs/tracking.md", f"| {label} | {' | '.join(cells)} |"


def occlusion() -> Iterator[tuple[str, str]]:
    for key in ("true masks", "true masks, depth", "model", "model, depth"):
        one, name = results("occlusion")[key], key.replace(",", " and")
        pair = f"{one['occluder_recall']:.1f} / {one['occluder_precision']:.1f}"
        row = f"| {name} | {one['order_accuracy']:.1f} | {pair} | {one['cycles']} |"
        yield "docs/occlusion.md", row
    for name, one in results("occlusion_clips").items():
        pair = f"{one['occluder_recall']:.1f} / {one['occluder_precision']:.1f}"
        row = f"| {name} | {one['order_accuracy']:.2f} | {pair} | {one['changes']} |"
        yield "docs/occlusion.md", f"{row} {one['visible_iou']:.2f} |"


def shipped_model() -> Iterator[tuple[str, str]]:
    """The model card and the README against the generated tables of docs/evaluation.md."""
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    models, hulls = {}, {}
    for name in SETS:
        lines = [line.split(" | ") for line in generated_block(text, name).splitlines()]
        header = next(cells for cells in lines if cells[0] == "| prediction")
        model = next(cells for cells in lines if cells[0] == "| model, raw")
        models[name] = dict(zip(header, model, strict=True))
        hulls[name] = next(cells for cells in lines if cells[0].startswith("| convex hull"))
    for name, label in (
        ("stills", "household, on rendered tables"),
        ("real", "photos of real, covered tables"),
        ("slender", "thin and long, on rendered tables"),
    ):
        cells = [
            f"{float(models[name][key]):.1f}" for key in ("c2f full", "c2f occ", "visible IoU")
        ]
        yield "README.md", f"| {label} | {' | '.join(cells)} |"
    one = models["stills"]
    cells = [f"**{one['c2f full']}**", f"**{one['c2f occ']}**", one["unoccluded full"]]
    yield "docs/embedded-model.md", f"| this model | {' | '.join(cells)} |"
    for name, label in (
        ("second", "second set"),
        ("slender", "thin and long"),
        ("real", "real tables"),
    ):
        one, hull = models[name], hulls[name]
        seen = "{:.1f} ({:.1f})".format(
            *(float(one[key]) for key in ("visible IoU", "visible IoU hidden"))
        )
        cells = [*(one[key] for key in ("c2f full", "c2f occ", "unoccluded full")), seen]
        row = f"| {label} | {' | '.join(cells)} | {hull[1]} / {hull[2]} |"
        yield "docs/embedded-model.md", row


PLACES = [
    pytest.param(document, text, id=f"{source.__name__}: {text}")
    for source in (
        *(many_objects, streaming, all_rates, engines, region_sizes, own_cost, tracking),
        *(occlusion, shipped_model),
    )
    for document, text in source()
]


@pytest.mark.parametrize(("document", "text"), PLACES)
def test_the_document_says_what_was_measured(document: str, text: str) -> None:
    assert text in words_of(document), f"{document}: expected {text!r}, as in the results"
