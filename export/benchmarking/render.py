# SPDX-License-Identifier: Apache-2.0
"""The results as tables: on the terminal, and between the marks of a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from amodal_ros.reporting import markdown_table, print_marks, put_block, wrapped

_STEPS = ("preprocess", "prefix", "prior", "suffix", "decoder", "postprocess")

Row = Sequence[str]


def render(path: Path, document: Mapping[str, Any]) -> None:
    """Puts the tables between the marks of a Markdown document.

    Raises:
        InvalidInputError: the document does not have each mark once.
    """
    put_block(path, "many objects", "\n\n".join(_sections(document)))


def print_results(document: Mapping[str, Any]) -> None:
    """Prints the results for a person."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for model, rows in _models(document):
        head, *lines = _comparison(rows)
        table = Table(*head, title=_title(model))
        for line in lines:
            table.add_row(*line)
        console.print(table)
    print_marks(document["marks"])


def _sections(document: Mapping[str, Any]) -> Iterator[str]:
    machine, settings = document["machine"], document["settings"]
    versions = ", ".join(f"{name} {value}" for name, value in document["versions"].items())
    yield wrapped(
        f"Commit {document['commit']}, {document['date'][:10]}; {machine['cpu']}, "
        f"{settings['threads']} threads; ours and naive in {settings['backend']}, base in "
        f"ONNX Runtime ({settings['provider']}); load average "
        f"{machine['load_average_1min']}; {versions}. {settings['repeats']} rounds; medians, "
        "quartiles in brackets."
    )
    for model, rows in _models(document):
        yield f"**{_title(model)}**"
        yield markdown_table(_comparison(rows))
        yield markdown_table(_stages(rows))
    yield markdown_table(_marks(document["marks"]))
    others = document["rss_mb_of_others"]
    most = max(settings["objects"])
    told = ", ".join(f"{name} {value:.0f} MB" for name, value in others.items())
    yield wrapped(f"Peak memory of the others with {most} objects: {told}.")


def _models(
    document: Mapping[str, Any],
) -> Iterator[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]:
    """Each model's description with its results."""
    found = [document["results"], *(other["results"] for other in document["other_models"])]
    yield from zip(document["models"], found, strict=True)


def _title(model: Mapping[str, Any]) -> str:
    origin = ", exported for this run" if model["exported_for_this_run"] else ""
    return f"{model['name']}, mode {model['mode']}, {model['image_size']} px{origin}"


def _comparison(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Ours against the others."""
    columns = [
        ("ours ms", "ours_ms", 0),
        ("naive ms", "naive_ms", 0),
        ("ours / naive", "ratio_naive", 3),
        ("naive in the same mode ms", "naive_same_mode_ms", 0),
        ("torch ms", "torch_ms", 0),
        ("base ONNX ms", "base_onnx_ms", 0),
        ("ours / base", "ratio_base", 2),
        ("base, same engine ms", "base_same_ms", 0),
        ("ours / base, same engine", "ratio_base_same", 2),
        ("ours, ONNX ms", "ours_onnx_ms", 0),
        ("naive, ONNX ms", "naive_onnx_ms", 0),
        ("ours / naive, ONNX", "ratio_naive_onnx", 3),
        ("ours small ms", "ours_small_ms", 0),
        ("ours small / naive", "ratio_naive_small", 3),
        ("ours small / base", "ratio_base_small", 2),
        ("ours small / base, same engine", "ratio_base_same_small", 2),
        ("peak MB", "rss_mb", 0),
        ("peak at both sizes MB", "rss_both_mb", 0),
    ]
    shown = [column for column in columns if rows[0].get(column[1]) is not None]
    table: list[Row] = [["objects", *(name for name, _, _ in shown)]]
    for row in rows:
        cells = [_cell(row, key, digits) for _, key, digits in shown]
        table.append([str(row["n_objects"]), *cells])
    return table


def _cell(row: Mapping[str, Any], key: str, digits: int) -> str:
    text = f"{row[key]:.{digits}f}"
    spread = row["spread"].get(key)
    if spread is None:
        return text
    return f"{text} ({spread['q1']:.{digits}f}–{spread['q3']:.{digits}f})"


def _stages(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Where the time goes."""
    steps = [step for step in _STEPS if step in rows[0]["steps_ms"]]
    table: list[Row] = [["objects", *(f"{step} ms" for step in steps)]]
    for row in rows:
        spent = row["steps_ms"]
        table.append([str(row["n_objects"]), *(f"{spent[step]:.1f}" for step in steps)])
    return table


def _marks(marks: Mapping[str, Any]) -> list[Row]:
    rows = []
    for name, entry in marks.items():
        limit = f"{entry['limit']:g} {entry['unit']}"
        verdict = "met" if entry["met"] else "missed"
        rows.append([name.replace("_", " "), f"{entry['value']:g}", limit, verdict])
    return [["mark", "measured", "at most", ""], *rows]
