# SPDX-License-Identifier: Apache-2.0
"""What the runs of the ablations came to: read, and written as JSON and as one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amodal_ros.errors import InvalidInputError
from training.ablation.paper import REFERENCE, Row
from training.ablation.statistics import SeedNoise, Spread, verdict
from training.trainer.config_files import read_config_dict
from training.trainer.run_folder import CONFIG, RunFolder

METRICS = ("miou_full", "miou_occ")
VALIDATION = "validation"


def run_path(out: Path, config: str, seed: int) -> Path:
    """Return the folder of one run."""
    return out / config / f"seed_{seed}"


def is_finished(run: Path) -> bool:
    """Whether a run did its last step and was validated after it."""
    folder = RunFolder(run)
    if not folder.exists():
        return False
    steps = read_config_dict(run / CONFIG)["steps"]
    return any(record["step"] == steps for record in folder.validations())


def read_result(run: Path) -> dict[str, Any]:
    """Return the last validation of a finished run.

    Raises:
        InvalidInputError: It is not finished.
    """
    if not is_finished(run):
        raise InvalidInputError(f"{run}: the run is not finished")
    return RunFolder(run).validations()[-1]


def evaluation_path(run: Path, name: str) -> Path:
    """Return the folder of a finished run's evaluation on a set."""
    return run / "on" / name


def read_evaluation(run: Path, name: str) -> dict[str, Any] | None:
    """Return what ``training.evaluate`` found on a set, as fractions; None where it did not."""
    report = evaluation_path(run, name) / "report.json"
    if not report.is_file():
        return None
    metrics = json.loads(report.read_text(encoding="utf-8"))["metrics"]
    found = {**metrics["c2f"], "visible": metrics["visible"]["iou"]}
    names = (*METRICS, "visible")
    return {key: None if found[key] is None else found[key] / 100.0 for key in names}


def collect(
    out: Path, configs: Sequence[str], read: Callable[[Path], dict[str, Any] | None] | None = None
) -> dict[str, Any]:
    """Read all finished runs.

    Args:
        out: Folder of the ablations.
        configs: Names of configurations.
        read: From a finished run's folder to its figures, None where they are missing; by default
            its last validation.

    Returns:
        By configuration: the result of each finished seed, and mean and spread of each metric.
    """
    results: dict[str, Any] = {}
    for config in configs:
        seeds = sorted(
            int(run.name.removeprefix("seed_")) for run in (out / config).glob("seed_*")
        )
        runs = {seed: run_path(out, config, seed) for seed in seeds}
        found = {s: (read or read_result)(run) for s, run in runs.items() if is_finished(run)}
        finished = {s: result for s, result in found.items() if result is not None}
        if not finished:
            continue
        entry: dict[str, Any] = {"seeds": {str(s): result for s, result in finished.items()}}
        for metric in METRICS:
            spread = Spread.of([100.0 * (r[metric] or 0.0) for r in finished.values()])
            entry[metric] = {"mean": spread.mean, "std": spread.std, "n": spread.n}
        results[config] = entry
    return results


def table(results: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Write the results as one Markdown table, in percent, with the paper's beside them."""
    noise = {metric: _noise(results, metric) for metric in METRICS}
    lines = [
        "| | seeds | mIoU_full | mIoU_occ | less the reference: full | occ | paper, full/occ |",
        "|---|---|---|---|---|---|---|",
    ]
    group = ""
    for row in rows:
        if row.config not in results:
            continue
        if row.group != group:
            group = row.group
            lines.append(f"| **{group}** | | | | | | |")
        entry = results[row.config]
        cells = [row.label, str(len(entry["seeds"]))]
        cells += [_figure(entry[metric]) for metric in METRICS]
        cells += [_difference(results, row.config, m, noise[m]) for m in METRICS]
        lines.append(f"| {' | '.join([*cells, row.paper or '–'])} |")
    return "\n".join(lines) + "\n"


def write_results(
    out: Path, sets: Mapping[str, Mapping[str, Any]], rows: Sequence[Row], about: Mapping[str, Any]
) -> None:
    """Write ``ablations.json`` and ``ablations.md``.

    Args:
        out: Folder of the ablations.
        sets: Results by the name of the set; ``validation`` first.
        rows: Of the table.
        about: What else the JSON says.
    """
    results = sets[VALIDATION]
    document: dict[str, Any] = {"about": dict(about), "results": dict(results)}
    if len(sets) > 1:
        document["on"] = {name: found for name, found in sets.items() if name != VALIDATION}
    (out / "ablations.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    text = "# Ablations\n\n" + document_block(sets, rows)
    (out / "ablations.md").write_text(text, encoding="utf-8")


def document_block(sets: Mapping[str, Mapping[str, Any]], rows: Sequence[Row]) -> str:
    """Say how to read the tables, one for each set, and write them."""
    text = (
        "Mean ± standard deviation over seeds, percent, definition `c2f`; after it the mean "
        "difference from the reference's runs of the same seeds, which saw the same items in the "
        "same order.\n"
    )
    parts = []
    for name, results in sets.items():
        place = "the reference's validation set" if name == VALIDATION else f"`{name}`"
        parts.append(f"On {place}. {_noise_text(results)}\n{table(results, rows)}")
    return text + "\n" + "\n".join(parts)


def _differences(results: Mapping[str, Any], config: str, metric: str) -> list[float]:
    """Figure less the reference's in percent, of the seeds that both have."""
    ours = results[config]["seeds"]
    reference = results.get(REFERENCE, {}).get("seeds", {})
    return [
        100.0 * ((ours[seed][metric] or 0.0) - (reference[seed][metric] or 0.0))
        for seed in ours
        if seed in reference
    ]


def _noise(results: Mapping[str, Any], metric: str) -> SeedNoise | None:
    return SeedNoise.of(
        {
            config: {s: 100.0 * (run[metric] or 0.0) for s, run in entry["seeds"].items()}
            for config, entry in results.items()
        }
    )


def _noise_text(results: Mapping[str, Any]) -> str:
    values = [noise for noise in (_noise(results, m) for m in METRICS) if noise is not None]
    if len(values) < len(METRICS):
        return "No two configurations have two seeds in common yet: the noise is not known.\n"
    deviations = " and ".join(f"{noise.std:.2f}" for noise in values)
    counts = {
        len(_differences(results, config, METRICS[0])) for config in results if config != REFERENCE
    }
    limits = " and ".join(
        f"{values[0].limit(n):.2f} / {values[1].limit(n):.2f} with {n} seed{'s' * (n > 1)}"
        for n in sorted(counts - {0})
    )
    return (
        f"Such a difference varies between seeds with a standard deviation of {deviations} (full "
        f"and occ; from all runs, {values[0].degrees} degrees of freedom); up to {limits} "
        "(Student's t, 95 %) it is called inside the seed noise. All rows share the reference's "
        "runs, and one row in twenty exceeds the limit by chance.\n"
    )


def _difference(
    results: Mapping[str, Any], config: str, metric: str, noise: SeedNoise | None
) -> str:
    if config == REFERENCE:
        return "reference"
    differences = _differences(results, config, metric)
    if not differences:
        return "–"
    return f"{Spread.of(differences).mean:+.2f}, {verdict(differences, noise)}"


def _figure(values: Mapping[str, Any]) -> str:
    if values["std"] is None:
        return f"{values['mean']:.2f}"
    return f"{values['mean']:.2f} ± {values['std']:.2f}"
