# SPDX-License-Identifier: Apache-2.0
"""The whole way from files to reports."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from amodal_ros.metrics import c2f, measure_overlap
from amodal_ros.types import AmodalPrediction
from training import evaluate as command
from training.datasets import CorruptRecordError, open_dataset
from training.datasets.coco_tables import decode_segmentation
from training.evaluation import open_model
from training.evaluation.markdown import main as markdown_main
from training.evaluation.markdown import report_markdown
from training.evaluation.prompting import Prompter
from training.evaluation.report import BASELINES, build_report
from training.evaluation.runner import evaluate
from training.evaluation.scores import convex_hull, fill_box, geometric_baselines
from training.evaluation.segmenters import ModelDescription


@pytest.fixture
def dataset(dataset_folder):
    return open_dataset("amodal_coco", dataset_folder, dataset_folder / "annotations.json")


def report_of(dataset, model, **options):
    bad = []
    evaluation = evaluate(
        dataset, Prompter(model.predictor, "visible_box", False, 0), bad=bad, **options
    )
    report = build_report(evaluation, model.description, dataset, "visible_box", False, 0, bad)
    return evaluation, report


class Oracle:
    """Answers with the amodal mask whose visible box it is asked for."""

    description = ModelDescription("oracle", "torch", "nowhere", "1" * 64, True, 1.0, {})

    def __init__(self, dataset) -> None:
        self._samples = list(dataset)

    @property
    def predictor(self):
        return self

    def encode(self, image_rgb):
        return image_rgb.shape[:2]

    def predict(self, features, boxes_xyxy, prior_masks, points=None):
        found = [self._matching(box) for box in boxes_xyxy]
        if not found:
            return AmodalPrediction.empty(features)
        return AmodalPrediction.from_masks(
            np.stack([s.amodal_mask for s in found]),
            np.stack([s.visible_mask for s in found]),
            np.ones(len(found), np.float32),
        )

    def _matching(self, box):
        return next(
            s
            for s in self._samples
            if s.visible_box_xyxy is not None and np.array_equal(s.visible_box_xyxy, box)
        )


def test_a_perfect_model_scores_everything_but_what_it_cannot_be_asked_for(dataset):
    _, report = report_of(dataset, Oracle(dataset))
    c2f = report["metrics"]["c2f"]
    # 6 instances, 2 of them fully hidden and unprompted; 5 occluded
    assert c2f == {"miou_full": 66.67, "miou_occ": 60.0, "n": 6, "n_occluded": 5}
    assert report["dataset"]["unprompted"] == 2
    assert report["metrics"]["occluded-only"] == {
        "miou_full": 100.0,
        "miou_occ": 100.0,
        "n": 3,
        "n_occluded": 3,
    }
    video = report["metrics"]["c2f-video"]
    assert video == {"miou_full": 66.67, "miou_occ": 66.67, "n": 1, "n_frames": 3}
    assert report["buckets"]["0 %"]["miou_full"] == 100.0
    assert report["buckets"]["80-100 %"] == {
        "miou_full": 0.0,
        "miou_occ": 0.0,
        "n": 2,
        "n_occluded": 2,
        "boundary_f": 0.0,
    }


def test_baselines_are_in_the_report_and_right(dataset):
    _, report = report_of(dataset, Oracle(dataset))
    assert tuple(report["baselines"]) == BASELINES
    for name, chosen in (
        ("true visible mask", lambda s: s.visible_mask),
        ("box fill", lambda s: fill_box(s.visible_mask)),
        ("convex hull of the true visible mask", lambda s: convex_hull(s.visible_mask)),
    ):
        expected = c2f(
            measure_overlap(chosen(sample), sample.amodal_mask, sample.visible_mask)
            for sample in dataset
        )
        found = report["baselines"][name]["c2f"]
        assert found["miou_full"] == pytest.approx(100 * expected.miou_full, abs=0.01)
        assert found["miou_occ"] == pytest.approx(100 * expected.miou_occ, abs=0.01)
    base = report["baselines"]["predicted visible mask"]["c2f"]
    assert base["miou_occ"] == 0.0


def test_hull_and_box_by_hand():
    mask = np.zeros((12, 14), dtype=bool)
    mask[2:9, 3:5] = mask[7:9, 3:11] = True  # an L
    assert fill_box(mask).sum() == 7 * 8
    hull = convex_hull(mask)
    assert (hull & mask).sum() == mask.sum()
    assert mask.sum() < hull.sum() < 7 * 8
    assert hull[5, 6]
    assert not hull[3, 9]
    outline, _ = cv2.findContours(hull.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    assert len(outline) == 1
    for empty in geometric_baselines(np.zeros_like(mask)).values():
        assert not empty.any()


def test_the_same_run_twice_is_the_same(dataset, fake_model):
    first, second = (report_of(dataset, fake_model()) for _ in range(2))
    assert json.dumps(first[1]) == json.dumps(second[1])
    assert first[0].instances == second[0].instances


def test_limit_stops_at_the_end_of_an_image(dataset, fake_model):
    evaluation, _ = report_of(dataset, fake_model(), limit=1)
    assert (evaluation.images, len(evaluation.instances)) == (1, 2)
    evaluation, _ = report_of(dataset, fake_model(), limit=3)
    assert (evaluation.images, len(evaluation.instances)) == (2, 3)


def test_bad_records_stop_or_are_listed(dataset_folder, fake_model):
    file = dataset_folder / "annotations.json"
    content = json.loads(file.read_text())
    content["annotations"][1]["segmentation"]["counts"] = "7"
    file.write_text(json.dumps(content))
    (dataset_folder / "images/second.png").write_bytes(b"broken")
    dataset = open_dataset("amodal_coco", dataset_folder, file)
    with pytest.raises(CorruptRecordError, match=r"annotation 1 \(id 2\)"):
        evaluate(dataset, Prompter(fake_model().predictor, "visible_box", False, 0))
    _, report = report_of(dataset, fake_model())
    assert report["dataset"]["skipped"] == 2
    assert "annotation 1 (id 2)" in report["dataset"]["skipped_records"][0]
    assert "second.png" in report["dataset"]["skipped_records"][1]
    assert report["metrics"]["c2f"]["n"] == 4


def test_an_image_that_breaks_while_loading_is_skipped_once(dataset_folder, dataset, fake_model):
    path = dataset_folder / "images/first.png"
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:800])
    _, report = report_of(dataset, fake_model())
    assert report["dataset"]["skipped"] == 1
    assert report["metrics"]["c2f"]["n"] == 4


def run_command(monkeypatch, folder, model, *options: str) -> int:
    monkeypatch.setattr(open_model, "open_model", lambda *arguments, **options: model)
    return command.main(
        [
            *("--model", "fake", "--dataset", "amodal_coco", "--root", str(folder)),
            *("--annotations", str(folder / "annotations.json"), "--out", str(folder / "out")),
            *options,
        ]
    )


def test_the_command_writes_everything(monkeypatch, capsys, caplog, dataset_folder, fake_model):
    caplog.set_level("INFO")
    assert run_command(monkeypatch, dataset_folder, fake_model(), "--track") == 0
    out = dataset_folder / "out"
    report = json.loads((out / "report.json").read_text())
    for key in ("model", "dataset", "prompt", "metrics", "baselines", "buckets"):
        assert key in report
    assert set(report["metrics"]["c2f"]) == {"miou_full", "miou_occ", "n", "n_occluded"}
    assert report["track"] is True
    assert report["dataset"]["unprompted"] == 1
    lines = [json.loads(line) for line in (out / "instances.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    assert decode_segmentation(lines[0]["prediction"], (48, 64)).any()
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.size == (1320, 840)
    text = (out / "report.md").read_text()
    assert "| convex hull of the true visible mask |" in text
    assert "| 80-100 % |" in text
    printed = capsys.readouterr().out
    assert "predicted visible mask" in printed
    assert "6 instances, 5 occluded, 1 unprompted, 0 skipped" in printed
    assert "5 of 5 images" in caplog.text


def test_the_command_says_what_is_wrong(monkeypatch, caplog, dataset_folder, fake_model):
    (dataset_folder / "images/second.png").unlink()
    assert run_command(monkeypatch, dataset_folder, fake_model()) == 1
    assert "annotation 2 (id 3)" in caplog.text
    assert "second.png does not exist" in caplog.text
    assert run_command(monkeypatch, dataset_folder, fake_model(), "--skip-bad") == 0


def test_help_is_instant_and_needs_nothing():
    code = "import sys; from training.evaluate import main\ntry:\n main(['--help'])\n"
    code += "except SystemExit: pass\nassert not {'torch', 'cv2', 'rich'} & set(sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "--adapter-gain" in result.stdout


def test_blocks_of_a_document_are_replaced(tmp_path, dataset, fake_model):
    _, report = report_of(dataset, fake_model())
    document = tmp_path / "evaluation.md"
    block = "<!-- generated tabletop -->\nold\n<!-- end tabletop -->"
    document.write_text(f"# Title\n\n{block}\n\ntail <!-- generated other --><!-- end other -->\n")
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))
    assert markdown_main([str(document), f"tabletop={file}"]) == 0
    text = document.read_text()
    assert report_markdown(report) in text
    assert "old" not in text
    assert text.endswith("tail <!-- generated other --><!-- end other -->\n")
    assert str(tmp_path) not in text
    assert markdown_main([str(document), f"missing={file}"]) == 1
    assert markdown_main([str(document), "tabletop"]) == 1


def test_the_command_on_cocoa_cls(monkeypatch, dataset_folder, fake_model):
    """The same objects as an official file has them: iscrowd set, whole objects without V."""
    file = dataset_folder / "annotations.json"
    content = json.loads(file.read_text())
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
        del annotation["visible_bbox"]
        if annotation["visible_mask"] == annotation["segmentation"]:
            del annotation["visible_mask"]
    official = dataset_folder / "COCO_amodal_val2014_with_classes.json"
    official.write_text(json.dumps(content))
    options = ("--dataset", "cocoa_cls", "--annotations", str(official))
    assert run_command(monkeypatch, dataset_folder, fake_model(), *options) == 0
    as_cocoa_cls = json.loads((dataset_folder / "out/report.json").read_text())
    assert run_command(monkeypatch, dataset_folder, fake_model()) == 0
    as_amodal_coco = json.loads((dataset_folder / "out/report.json").read_text())
    assert as_cocoa_cls["dataset"]["name"] == "cocoa_cls"
    for metric in ("c2f", "pooled", "occluded-only", "boundary-f"):
        assert as_cocoa_cls["metrics"][metric] == as_amodal_coco["metrics"][metric]


@pytest.mark.slow
def test_the_embedded_model(tmp_path, repository_root):
    """True size: the model that ships, on a picture of a box that is partly covered."""
    from training.datasets import AmodalCocoWriter

    image = np.full((240, 320, 3), 200, dtype=np.uint8)
    image[60:180, 80:200] = (200, 40, 40)
    image[40:200, 160:260] = (30, 60, 200)
    Image.fromarray(image).save(tmp_path / "boxes.png")
    masks = np.zeros((2, 240, 320), dtype=bool)
    masks[0, 60:180, 80:200] = True
    masks[1, 60:180, 80:160] = True
    writer = AmodalCocoWriter({}, ["box"])
    writer.add_object(writer.add_image("boxes.png", (240, 320)), "box", masks[0], masks[1])
    writer.write(tmp_path / "annotations.json")
    model = repository_root / "amodal_ros/models/amodal_mobilesam"
    arguments = ["--model", str(model), "--dataset", "amodal_coco", "--root", str(tmp_path)]
    arguments += [
        "--annotations",
        str(tmp_path / "annotations.json"),
        "--out",
        str(tmp_path / "o"),
    ]
    assert command.main([*arguments, "--adapter-gain", "0"]) == 0
    report = json.loads((tmp_path / "o/report.json").read_text())
    assert report["model"]["name"] == "amodal_mobilesam"
    assert report["metrics"]["c2f"] == report["baselines"]["predicted visible mask"]["c2f"]
    assert report["metrics"]["c2f"]["miou_full"] > 55
