# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.cost import count_flops
from amodal_ros.modeling.sca import build_adapter
from training.ablation.paper import ONE_PASS, PAPER, REFERENCE, Series
from training.ablation.statistics import SeedNoise, verdict
from training.ablations import main
from training.data.config import DataConfig
from training.trainer.config_files import changed_keys, config_to_dict, load_config

# "points" is plainly worse; "no_blur" differs by less than its differences vary.
FULL = {REFERENCE: 0.80, "points": 0.70, "no_blur": 0.801}
INSIDE = "inside the seed noise"
VARIES = {"points": (-0.002, 0.0, 0.002, 0.0), "no_blur": (0.002, -0.002, 0.0)}


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
        value = FULL[config.stem] + 0.01 * seed + VARIES.get(config.stem, (0.0,) * 4)[seed]
        line = {"step": 5, "score": 0.5, "miou_full": value, "miou_occ": value / 2}
        (run / "validation.jsonl").write_text(json.dumps(line) + "\n")
        return 0


def run(out: Path, training: FakeTraining, *more: str) -> int:
    arguments = ["--out", str(out), "--seeds", "0", "1", "2", "--only", *FULL, *more]
    return main(arguments, training)


def test_the_table_has_means_spreads_verdicts_and_the_papers_figures(tmp_path):
    assert run(tmp_path, FakeTraining()) == 0
    text = (tmp_path / "ablations.md").read_text()
    reference = "| 3 | 81.00 ± 1.00 | 40.50 ± 0.50 | reference | reference |"
    assert f"| box {reference} 83.43/59.27 |" in text
    points = "| 3 | 71.00 ± 1.20 | 35.50 ± 0.60 | -10.00, worse | -5.00, worse | 82.74/58.52 |"
    assert f"| two points {points}" in text
    noise = "+0.10, inside the seed noise | +0.05, inside the seed noise"
    assert f"| no blur | 3 | 81.10 ± 0.92 | 40.55 ± 0.46 | {noise}" in text
    # Residuals of three rows and three seeds; Student's t of 4 degrees of freedom is 2.776.
    assert "a standard deviation of 0.26 and 0.13 (full and occ; from all runs, 4 degrees" in text
    assert "up to 0.41 / 0.21 with 3 seeds (Student's t, 95 %)" in text
    document = json.loads((tmp_path / "ablations.json").read_text())
    assert document["results"]["points"]["seeds"]["2"]["miou_full"] == pytest.approx(0.722)
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


@pytest.mark.parametrize("series", [PAPER, ONE_PASS])
def test_every_row_has_its_configuration(series: Series):
    files = {path.stem for path in series.configs.glob("*.yaml")}
    assert set(series.names()) == files
    assert series.names()[0] == REFERENCE


def test_one_pass_runs_differ_in_one_thing_and_cost_the_same():
    configs = {
        name: load_config(ONE_PASS.configs / f"{name}.yaml", data_schema=DataConfig)
        for name in ONE_PASS.names()
    }
    plain = {name: config_to_dict(config) for name, config in configs.items()}
    reference = plain[REFERENCE]
    assert reference["phases"] == []
    assert reference["steps"] * reference["batch"]["size"] == pytest.approx(105_000, rel=0.001)
    changed = {name: changed_keys(reference, config) for name, config in plain.items()}
    assert changed["no_prior"] == ["data.prior.kind: noisy -> none"]
    assert all(
        change.startswith("model.")
        for name in ("open_gates", "papers_start", "conventional")
        for change in changed[name]
    )
    costs = {}
    for name, config in plain.items():
        model = AmodalConfig.from_dict(config["model"])
        adapter = build_adapter(model, model.positions[-1], 320, 16)
        features, prior = torch.zeros(1, 320, 14, 14), torch.zeros(1, 1, 224, 224)
        costs[name] = count_flops(adapter, features, prior, torch.ones(1))
    assert costs["conventional"] == pytest.approx(costs[REFERENCE], rel=0.05)
    assert costs["open_gates"] == costs["papers_start"] == costs[REFERENCE]


def test_finished_runs_are_evaluated_on_other_sets_once(tmp_path, capsys):
    file = tmp_path / "stills.json"
    file.touch()
    calls: list[str] = []

    def evaluate(arguments: Sequence[str]) -> int:
        model, out = arguments[1], Path(arguments[arguments.index("--out") + 1])
        calls.append(model)
        value = 60.0 if "/points/" in model else 70.0
        metrics = {"c2f": {"miou_full": value, "miou_occ": 30.0}, "visible": {"iou": 80.0}}
        out.mkdir(parents=True)
        (out / "report.json").write_text(json.dumps({"metrics": metrics}))
        return 0

    arguments = ["--out", str(tmp_path / "runs"), "--seeds", "0", "1", "--only", *FULL]
    arguments += ["--on", f"tabletop={file}"]
    for _ in range(2):
        assert main(arguments, FakeTraining(), evaluate) == 0
    assert len(calls) == 6
    assert calls[0].endswith("checkpoints/last/adapters.safetensors")
    assert "| two points | 2 | 60.00 ± 0.00 | 30.00 ± 0.00 | -10.00" in capsys.readouterr().out
    text = (tmp_path / "runs" / "ablations.md").read_text()
    assert text.index("On the reference's validation set") < text.index("On `tabletop`")
    assert main([*arguments, "--on", "tabletop=/no/file"], FakeTraining(), evaluate) == 1


def test_an_unknown_ablation_is_named(tmp_path, caplog):
    assert main(["--out", str(tmp_path), "--only", "bigger"], FakeTraining()) == 1
    assert "unknown ablations ['bigger']" in caplog.text


def test_noise_is_what_configuration_and_seed_do_not_explain():
    figures = {"a": {"0": 1.0, "1": 2.0}, "b": {"0": 11.0, "1": 12.4}}
    # Residuals of +-0.1: one degree of freedom, and a difference has two of them.
    expected = SeedNoise(std=pytest.approx(math.sqrt(2.0 * 4 * 0.01)), degrees=1)
    assert SeedNoise.of(figures) == expected
    assert SeedNoise.of({**figures, "once": {"0": 7.0}}) == expected
    # Student's t of 3 degrees of freedom: 3.182 for 95 %.
    assert SeedNoise(1.0, 3).limit(1) == pytest.approx(3.182, rel=1e-3)
    assert SeedNoise(1.0, 3).limit(4) == pytest.approx(3.182 / 2, rel=1e-3)
    assert SeedNoise.of({"a": {"0": 1.0, "1": 2.0}, "b": {"0": 1.0}}) is None
    assert SeedNoise.of({}) is None


def test_the_limit_is_exceeded_by_chance_as_often_as_it_says():
    rng = np.random.default_rng(0)
    wrong = []
    for _ in range(400):
        seeds = rng.normal(0.0, 5.0, 3)
        drawn = seeds + rng.normal(0.0, 1.0, (8, 3))
        figures = {str(c): {str(s): drawn[c, s] for s in range(3)} for c in range(8)}
        noise = SeedNoise.of(figures)
        wrong += [verdict(list(drawn[c] - drawn[0]), noise) != INSIDE for c in range(1, 8)]
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.015)


def test_the_seed_noise_decides():
    noise = SeedNoise(std=1.0, degrees=4)  # 2.776 with one seed, 1.603 with three
    assert verdict([2.8], noise) == "better"
    assert verdict([-2.8], noise) == "worse"
    assert verdict([2.7], noise) == "inside the seed noise"
    assert verdict([0.7, 1.7, 2.7], noise) == "better"
    assert verdict([-0.6, -1.6, -2.5], noise) == "inside the seed noise"
    assert verdict([9.0], None) == "seed noise unknown"
    with pytest.raises(InvalidInputError, match="at least one seed"):
        verdict([], noise)


def test_without_a_second_seed_nothing_is_said_of_noise(tmp_path):
    arguments = ["--out", str(tmp_path), "--seeds", "0", "--only", *FULL]
    assert main(arguments, FakeTraining()) == 0
    text = (tmp_path / "ablations.md").read_text()
    assert "No two configurations have two seeds in common yet" in text
    assert "-10.20, seed noise unknown" in text


def test_a_document_gets_the_table(tmp_path, caplog):
    document = tmp_path / "ablations.md"
    document.write_text(
        "before\n<!-- generated ablations -->\nold\n<!-- end ablations -->\nafter\n"
    )
    assert run(tmp_path / "runs", FakeTraining(), "--document", str(document)) == 0
    text = document.read_text()
    assert text.startswith("before\n<!-- generated ablations -->\n")
    assert text.endswith("<!-- end ablations -->\nafter\n")
    assert "| two points | 3 | 71.00" in text
    assert "old" not in text
    document.write_text("nothing\n")
    assert run(tmp_path / "runs", FakeTraining(), "--document", str(document)) == 1
    assert "expected the marks '<!-- generated ablations -->'" in caplog.text
    assert run(tmp_path / "runs", FakeTraining(), "--document", str(tmp_path / "none.md")) == 1
    assert "none.md" in caplog.text


def test_a_choice_of_runs_keeps_the_others_in_the_table(tmp_path):
    assert run(tmp_path, FakeTraining()) == 0
    arguments = ["--out", str(tmp_path), "--seeds", "3", "--only", "points"]
    assert main(arguments, FakeTraining()) == 0
    text = (tmp_path / "ablations.md").read_text()
    assert "| two points | 4 |" in text
    assert "| no blur | 3 |" in text
    assert "-10.00, worse" in text
