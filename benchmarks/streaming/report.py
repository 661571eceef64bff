# SPDX-License-Identifier: Apache-2.0
"""What the figures come to: the marks, a table and a picture of quality against rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amodal_ros.reporting import markdown_table

OFFLINE = "offline"
AHEAD = "budget, ahead"  # asked where the objects will be when the next frame comes
GAIN_LIMIT, SHARE_LIMIT = 10.0, 0.9  # at 10 Hz with 8 objects


def marks(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was promised at 10 Hz with 8 objects, as far as it was measured."""
    full = {
        row["contestant"]: row["miou_full"]
        for row in rows
        if row["objects"] == 8 and row["rate_hz"] in (10.0, 0.0)
    }
    found = {}
    if "budget" in full and "no budget" in full:
        gain = full["budget"] - full["no budget"]
        found["points_over_no_budget"] = _mark(gain, GAIN_LIMIT, 2)
    if "budget" in full and full.get(OFFLINE):
        found["share_of_offline"] = _mark(full["budget"] / full[OFFLINE], SHARE_LIMIT, 3)
    if AHEAD in full and full.get(OFFLINE):
        found["share_of_offline_ahead"] = _mark(full[AHEAD] / full[OFFLINE], SHARE_LIMIT, 3)
    return found


def _mark(value: float, least: float, digits: int) -> dict[str, Any]:
    return {"value": round(value, digits), "least": least, "met": value >= least}


def streaming_markdown(document: Mapping[str, Any]) -> str:
    """The table of a result file, and its marks."""
    results, settings = document["results"], document["settings"]
    table = [["contestant", "objects", "Hz", "mIoU_full", "mIoU_occ", "visible IoU", "answers/s"]]
    for row in results["rows"]:
        rate = f"{row['rate_hz']:g}" if row["rate_hz"] else "–"
        figures = [row["miou_full"], row["miou_occ"], row["visible_iou"]]
        answers = f"{row['answers_hz']:.1f}" if row["rate_hz"] else "–"
        table.append(
            [row["contestant"], str(row["objects"]), rate]
            + ["–" if one is None else f"{one:.1f}" for one in figures]
            + [answers]
        )
    lines = [_head(document["commit"], document["date"], settings), "", markdown_table(table)]
    loads = [row for row in results["rows"] if "node_cores" in row]
    if loads:
        lines += ["", markdown_table(_loads(loads))]
    if results["marks"]:
        said = [["mark", "measured", "at least", ""]]
        for name, one in results["marks"].items():
            met = "met" if one["met"] else "**missed**"
            said.append([name.replace("_", " "), str(one["value"]), str(one["least"]), met])
        lines += ["", markdown_table(said)]
    return "\n".join(lines)


def _loads(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """How late answers were, and processors used."""
    table = [["contestant", "objects", "Hz", "ms late, 50 %", "90 %", "after the next frame"]]
    table[0] += ["node, cores", "player, cores"]
    for row in rows:
        delays = ["–", "–", "–"]
        if row["delay_ms"] is not None:
            delays = [f"{one:.0f}" for one in row["delay_ms"]] + [f"{100 * row['late']:.0f} %"]
        cores = [f"{row[name]:.2f}" for name in ("node_cores", "player_cores")]
        table.append(
            [row["contestant"], str(row["objects"]), f"{row['rate_hz']:g}", *delays, *cores]
        )
    return table


def _head(commit: str, date: str, settings: Mapping[str, Any]) -> str:
    """When and how it was measured."""
    virtual, head = settings["virtual"], f"Commit {commit}, {date[:10]}."
    if virtual is None:
        return f"{head} {settings['threads']} threads, {settings['seconds']:g} s each."
    encoder_s, box_s = virtual["base_s"]
    small = f" ({virtual['small_s']:g} in a smaller region)" if virtual.get("small_s") else ""
    return (
        f"{head} {settings['seconds']:g} s each. Masks of {virtual['masks']}.\n"
        f"Seconds: {virtual['object_s']:g} an object{small}, {virtual['own_s']:g} the node; base"
        f" {encoder_s:g} an image, {box_s:g} a box."
    )


def write_picture(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw mIoU_full against the camera's rate, a panel for each number of objects."""
    from matplotlib.figure import Figure

    counts = sorted({row["objects"] for row in rows})
    figure = Figure(figsize=(3.2 * len(counts), 3.4), layout="constrained")
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for panel, count in zip(panels, counts, strict=True):
        mine = [row for row in rows if row["objects"] == count]
        for name in dict.fromkeys(row["contestant"] for row in mine):
            line = sorted(
                (row["rate_hz"], row["miou_full"]) for row in mine if row["contestant"] == name
            )
            if name == OFFLINE:
                panel.axhline(line[0][1], linestyle="--", color="grey", label=name)
            else:
                panel.plot(*zip(*line, strict=True), marker="o", label=name)
        panel.set(title=f"{count} objects", xlabel="camera, Hz", ylim=(0, 100))
        panel.grid(color="gainsboro")
    panels[0].set_ylabel("mIoU_full at each frame's time")
    panels[-1].legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
