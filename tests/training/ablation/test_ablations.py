# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from amodal_ros.errors import InvalidInputError
from training.ablation.paper import REFERENCE, config_names
from training.ablation.statistics import Spread, verdict
from training.ablations import main
from training.trainer.config_files import CONFIGS

# Per seed; "points" is plainly worse, "no_blur" differs by less than the seeds do.
FULL = {REFERENCE: 0.80, "points": 0.70, "no_blur": 0.801}


class FakeTraining:
    """Leaves the records of a run and remembers how it was called."""

    def __init__(self, fails_on: str = ""):
        self.calls: list[tuple[str, str]] = []
        self.fails_on = fails_on

    def __call__(self, arguments: Sequence[str]) -> int:
        config, run = Path(arguments[1]), Path(arguments[3])
        seed = int(arguments[-1].removeprefix("seed="))
        self.calls.append((config.stem, "resume" if "--resume" in arguments else "start"))
        run.mkdir(parents=True, exist_ok=True)
        (run / "config.yaml").write_text("steps: 5\n")
        if config.stem == self.fails_on:
            return 1
        value = FULL[config.stem] + 0.01 * seed
        line = {"step": 5, "score": 0.5, "miou_full": value, "miou_occ": value / 2}
        (run / "validation.jsonl").write_text(json.dumps(line) + "\n")
        return 0


def run(out: Path, training: FakeTraining, *more: str) -> int:
    arguments = ["--out", str(out), "--seeds", "0", "1", "2", "--only", *FULL, *more]
    return main(arguments, training)


def test_the_table_has_means_spreads_verdicts_and_the_papers_figures(tmp_path):
    assert run(tmp_path, FakeTraining()) == 0
    text = (tmp_path / "ablations.md").read_text()
    box = "| box | 81.00 ± 1.00 | 40.50 ± 0.50 | reference | 83.43/59.27 |"
    assert box in text
    assert "| two points | 71.00 ± 1.00 | 35.50 ± 0.50 | worse; worse | 82.74/58.52 |" in text
    no_blur = "| no blur | 81.10 ± 1.00 | 40.55 ± 0.50 | inside the seed noise; inside"
    assert no_blur in text
    document = json.loads((tmp_path / "ablations.json").read_text())
    assert document["results"]["points"]["seeds"]["2"]["miou_full"] == pytest.approx(0.72)
    assert document["about"]["seeds"] == [0, 1, 2]


def test_finished_runs_are_kept_and_an_unfinished_one_is_resumed(tmp_path):
    assert run(tmp_path, FakeTraining(fails_on="points")) == 1
    again = FakeTraining()
    assert run(tmp_path, again) == 0
    assert (REFERENCE, "start") in again.calls[2:]
    assert again.calls[0] == ("points", "resume")
    assert len(again.calls) == 8
    third = FakeTraining()
    assert run(tmp_path, third) == 0
    assert third.calls == []


def test_every_row_has_its_configuration():
    files = {path.stem for path in (CONFIGS / "ablations").glob("*.yaml")}
    assert set(config_names()) == files
    assert config_names()[0] == REFERENCE


def test_an_unknown_ablation_is_named(tmp_path, caplog):
    assert main(["--out", str(tmp_path), "--only", "bigger"], FakeTraining()) == 1
    assert "unknown ablations ['bigger']" in caplog.text


def test_two_standard_errors_of_the_difference_decide():
    reference = Spread.of([80.0, 81.0, 82.0])
    assert verdict(Spread.of([82.7, 82.7, 82.7]), reference) == "better"
    assert verdict(Spread.of([82.1, 82.1, 82.1]), reference) == "inside the seed noise"
    assert verdict(Spread.of([81.7, 82.7, 83.7]), reference) == "better"
    assert verdict(Spread.of([81.5, 82.5, 83.5]), reference) == "inside the seed noise"
    assert verdict(Spread.of([99.0]), reference) == "better"
    assert verdict(Spread.of([78.6]), reference) == "worse"
    assert verdict(Spread.of([82.3]), reference) == "inside the seed noise"  # 2.31 are two errors
    assert verdict(Spread.of([99.0]), Spread.of([81.0])) == "one seed: unknown"
    with pytest.raises(InvalidInputError, match="at least one seed"):
        Spread.of([])
