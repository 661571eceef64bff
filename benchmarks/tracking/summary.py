# SPDX-License-Identifier: Apache-2.0
"""From the clips' figures to a table, intervals and marks; and the table in a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.tracking.scores import GROUPS
from benchmarks.tracking.variants import (
    BOX_SPEC,
    FEEDBACK,
    NO_FEEDBACK,
    PROPAGATION,
)

RESAMPLES = 10_000
SURVIVAL_MARK = 0.8
SWITCH_MARK = 1.0
_FEWEST_OBJECTS = 10
_J, _FULL, _OCC = "j", "miou_full", "miou_occ"
_NAMES = {_J: "J", _FULL: "mIoU full", _OCC: "mIoU occ"}


def summarise_clips(clips: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, Any]:
    """All figures of all variants, and the paired differences of feedback and what it adds to."""
    names = list(clips[0]["variants"])
    results: dict[str, Any] = {
        "clips": len(clips),
        "frames": sum(clip["frames"] for clip in clips),
        "variants": {name: _variant([c["variants"][name] for c in clips]) for name in names},
    }
    whole = any(clip["variants"][FEEDBACK]["groups"]["all"]["n"] for clip in clips)
    without = [n for n in (NO_FEEDBACK, BOX_SPEC, PROPAGATION) if n in names]
    results["gains"] = {
        name: {
            group: {key: _paired(clips, name, group, key, seed) for key in keys}
            for group, keys in zip(GROUPS, ((_J, _FULL, _OCC), (_FULL, _OCC)), strict=False)
        }
        for name in without
    }
    if whole and NO_FEEDBACK in without:
        results["marks"] = _marks(results)
    return results


def summarise_settings(clips: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, Any]:
    """`summarise_clips` of the clips of each setting, by its label."""
    labels = list(dict.fromkeys(clip["setting"] for clip in clips))
    return {
        label: summarise_clips([clip for clip in clips if clip["setting"] == label], seed)
        for label in labels
    }


def bootstrap_interval(differences: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean of (K,) differences, drawn with replacement."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(differences), (RESAMPLES, len(differences)))
    low, high = np.percentile(differences[draws].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def _figure(one: Mapping[str, Any], group: str, key: str) -> float | None:
    """J or an mIoU of an object or a clip; None where nothing counts."""
    if key == _J:
        return one["visible"]["j"] / one["visible"]["n"] if one["visible"]["n"] else None
    return _miou(one["groups"][group], key)


def _miou(sums: Mapping[str, float], key: str) -> float | None:
    total, count = ("full", "n") if key == "miou_full" else ("occluded", "n_occluded")
    return sums[total] / sums[count] if sums[count] else None


def _variant(clips: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    totals = {
        group: {
            key: sum(clip["groups"][group][key] for clip in clips)
            for key in ("n", "full", "n_occluded", "occluded")
        }
        for group in GROUPS
    }
    counts = {
        key: sum(clip[key] for clip in clips)
        for key in (
            *("objects", "detections", "id_switches", "identities"),
            *("hidden_events", "survived"),
        )
    }
    seen = [clip["visible"] for clip in clips if clip["visible"]["n"]]
    return {
        "groups": {
            group: {
                "instances": sums["n"],
                "occluded": sums["n_occluded"],
                "miou_full": _percent(_miou(sums, "miou_full")),
                "miou_occ": _percent(_miou(sums, "miou_occ")),
            }
            for group, sums in totals.items()
        },
        "j": _percent(_mean([one["j"] / one["n"] for one in seen])),
        "f": _percent(_mean([one["f"] / one["n"] for one in seen])),
        **counts,
        "spare_per_frame": round(float(np.mean([clip["spare_per_frame"] for clip in clips])), 3),
        "id_switches_per_clip": round(counts["id_switches"] / len(clips), 2),
        "most_id_switches": max(clip["id_switches"] for clip in clips),
    }


def _paired(
    clips: Sequence[Mapping[str, Any]], without: str, group: str, key: str, seed: int
) -> dict[str, Any] | None:
    """Mean over objects of the difference, with its interval; those without such frames apart."""
    pairs = []
    for clip in clips:
        own, other = (clip["variants"][name]["each_object"] for name in (FEEDBACK, without))
        pairs += [[_figure(one[name], group, key) for one in (own, other)] for name in own]
    known = np.array([pair for pair in pairs if None not in pair], np.float64)
    if not len(known):
        return None
    differences = known[:, 0] - known[:, 1]
    low, high = bootstrap_interval(differences, seed)
    return {
        "objects": len(known),
        "mean": _percent(float(differences.mean())),
        "low": _percent(low),
        "high": _percent(high),
    }


def _marks(results: Mapping[str, Any]) -> dict[str, Any]:
    """The three marks; survival and switches are the tracker's own."""
    feedback = results["variants"][FEEDBACK]
    gain = results["gains"][NO_FEEDBACK]["all"]["miou_occ"]
    events, survived = feedback["hidden_events"], feedback["survived"]
    return {
        "feedback_beats_none": {
            "low": gain["low"] if gain else None,
            "objects": gain["objects"] if gain else 0,
            "met": bool(gain and gain["low"] > 0 and gain["objects"] >= _FEWEST_OBJECTS),
        },
        "survival": {
            "value": round(survived / events, 3) if events else None,
            "events": events,
            "limit": SURVIVAL_MARK,
            "met": bool(events and survived / events >= SURVIVAL_MARK),
        },
        "id_switches_per_clip": {
            "value": feedback["id_switches_per_clip"],
            "limit": SWITCH_MARK,
            "met": feedback["id_switches_per_clip"] <= SWITCH_MARK,
        },
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 2)


def results_markdown(document: Mapping[str, Any]) -> str:
    """A result file as Markdown: for each setting the tables and the differences."""
    settings = document["settings"]
    head = (
        f"Masks by {settings['segmenter']}; {', '.join(settings['data'])};"
        f" {settings['drop']:.0%} of the boxes dropped (seed {settings['seed']});"
        f"\ncommit `{document['commit']}`. Percent.\n"
    )
    parts = [_setting_markdown(*item) for item in document["results"]["settings"].items()]
    return "\n".join([head, *parts])


def _setting_markdown(label: str, results: Mapping[str, Any]) -> str:
    variants = results["variants"]
    rows = [
        [
            *(name, _text(one["j"]), _text(one["f"])),
            *_identity_cells(name, one),
            f"{one['spare_per_frame']:.2f}",
        ]
        for name, one in variants.items()
    ]
    header = ["", "J", "F", "switches a clip", "identities", "survived", "spare"]
    lines = [f"**{label}** ({results['clips']} clips, {results['frames']} frames)", ""]
    lines += _table(header, rows)
    if any(one["groups"]["all"]["instances"] for one in variants.values()):
        header = ["", "mIoU full", "mIoU occ", "occ, with a box", "occ, dropped", "occ, hidden"]
        rows = [[name, *_whole_cells(one)] for name, one in variants.items()]
        lines += ["", *_table(header, rows)]
    lines += _gain_lines(results)
    return "\n".join(lines) + "\n"


def _identity_cells(name: str, one: Mapping[str, Any]) -> list[str]:
    if name == NO_FEEDBACK:
        return ["–"] * 3
    return [
        f"{one['id_switches_per_clip']:.2f}",
        f"{one['identities'] / max(one['objects'], 1):.2f}",
        f"{one['survived']} of {one['hidden_events']}",
    ]


def _whole_cells(one: Mapping[str, Any]) -> list[str]:
    return [
        _text(one["groups"]["all"]["miou_full"]),
        *(_text(one["groups"][group]["miou_occ"]) for group in GROUPS),
    ]


def _gain_lines(results: Mapping[str, Any]) -> list[str]:
    """A table of the differences of feedback and the others, without columns that none has."""
    gains = results["gains"]
    columns = [
        (group, key)
        for group, keys in next(iter(gains.values()), {}).items()
        for key in keys
        if any(groups[group][key] for groups in gains.values())
    ]
    if not columns:
        return []
    header = ["feedback minus", *(f"{_NAMES[key]}, {group}" for group, key in columns)]
    rows = [
        [without, *(_gain_text(groups[group][key]) for group, key in columns)]
        for without, groups in gains.items()
    ]
    return ["", *_table(header, rows)]


def _gain_text(gain: Mapping[str, Any] | None) -> str:
    """Mean, interval and number of objects."""
    if gain is None:
        return "–"
    return f"{gain['mean']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}], {gain['objects']}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table whose columns but the first are numbers."""
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (header, ruler, *rows)]


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
