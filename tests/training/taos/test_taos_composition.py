# SPDX-License-Identifier: Apache-2.0
"""Composites: the masks agree with the pixels, and everything lies within its range."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from training.taos.config import TaosConfig
from training.taos.judge import judged
from training.taos.sampler import TaosSampler
from training.taos.target_filter import is_thin, piece_areas
from training.taos.types import TaosSample

COUNT = 40


def draw(config: TaosConfig, sources: list[str], cache: Path, count: int = COUNT):
    sampler = TaosSampler(config, sources, cache=cache)
    reports = [sampler.draw(index) for index in range(count)]
    return [report.result for report in reports if report.result is not None], reports


@pytest.fixture(scope="module")
def samples(yolo_root: Path, cutouts_root: Path, tmp_path_factory) -> list[TaosSample]:
    sources = [f"yolo:{yolo_root}", f"cutouts:{cutouts_root}"]
    made, _ = draw(TaosConfig(seed=7), sources, tmp_path_factory.mktemp("cache"))
    assert len(made) >= COUNT - 2
    return made


def grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


def test_masks_are_consistent(samples: list[TaosSample]) -> None:
    for sample in samples:
        assert (sample.visible == (sample.amodal & ~sample.occluder)).all()
        assert (sample.occlusion == (sample.amodal & sample.occluder)).all()
        for name in ("amodal", "visible", "occlusion", "occluder"):
            mask = getattr(sample, name)
            assert mask.dtype == bool
            assert mask.shape == sample.image.shape[:2] == sample.original.shape[:2]


def test_pictures_differ_only_where_something_was_pasted(samples: list[TaosSample]) -> None:
    for sample in samples:
        changed = (sample.image != sample.original).any(axis=2)
        # Soft alpha reaches beyond alpha > 0.5, and the blur two pixels beyond that.
        assert not (changed & ~grown(sample.occluder, 9)).any()
        if sample.occluder.any():
            inner = cv2.erode(sample.occluder.astype(np.uint8), np.ones((3, 3))) > 0
            assert changed[inner].mean() > 0.9
        else:
            assert not changed.any()


def test_all_modes_and_their_meaning(samples: list[TaosSample]) -> None:
    modes = {sample.provenance["mode"] for sample in samples}
    assert modes == {"occluded", "touching", "unoccluded"}
    relations = set()
    for sample in samples:
        mode, rate = sample.provenance["mode"], sample.occlusion_rate
        relations |= {entry["relation"] for entry in sample.provenance["occluders"]}
        if mode == "occluded":
            assert 0.10 <= rate <= 0.70
            assert sum(e["covered"] for e in sample.provenance["occluders"]) == pytest.approx(
                rate, abs=0.02
            )
        else:
            assert rate == 0.0
            assert (sample.visible == sample.amodal).all()
        if mode == "touching":
            assert (grown(sample.occluder, 4) & sample.amodal).any()
        if mode == "unoccluded" and sample.occluder.any():
            assert not (grown(sample.occluder, 4) & sample.amodal).any()
    assert {"front", "beside", "behind", "apart"} <= relations


def test_sizes_lie_in_their_ranges(samples: list[TaosSample]) -> None:
    for sample in samples:
        area = sample.amodal.sum()
        assert 0.02 <= area / sample.amodal.size <= 0.40
        for entry in sample.provenance["occluders"]:
            assert 0.3 * 0.94 <= entry["ratio"] <= 1.5 * 1.06


def test_occluders_come_from_another_image(samples: list[TaosSample]) -> None:
    for sample in samples:
        target = sample.provenance["target"]
        for entry in sample.provenance["occluders"]:
            assert (entry["source"], entry["record"]) != (target["source"], target["record"])


def test_provenance_is_json_and_complete(samples: list[TaosSample]) -> None:
    for sample in samples:
        made_by = json.loads(json.dumps(sample.provenance))
        assert made_by["seed"] == 7
        assert made_by["hw"] == list(sample.amodal.shape)
        assert made_by["occlusion_rate"] == pytest.approx(sample.occlusion_rate, abs=1e-4)
        assert made_by["blur"] == {"size": 5, "sigma": 1.0}
        for entry in made_by["occluders"]:
            assert {"scale", "rotation_deg", "flip", "x", "y"} == set(entry["transform"])
        if made_by["target"]["kind"] == "cutouts":
            assert made_by["background"]["kind"] == "yolo"


def test_several_occluders_and_parts(samples: list[TaosSample]) -> None:
    occluded = [s for s in samples if s.provenance["mode"] == "occluded"]
    assert max(len(s.provenance["occluders"]) for s in occluded) >= 2
    assert any(e["part"] for s in occluded for e in s.provenance["occluders"])
    assert any(not e["part"] for s in occluded for e in s.provenance["occluders"])


def test_the_target_keeps_its_pixels_behind_nothing(samples: list[TaosSample]) -> None:
    """Where the target is visible, away from any outline, it looks as in the original."""
    for sample in samples:
        core = sample.visible & ~grown(sample.occluder, 9)
        assert (sample.image[core] == sample.original[core]).all()


def test_blur_changes_only_the_band(yolo_root: Path, config: TaosConfig, tmp_path: Path) -> None:
    config = dataclasses.replace(config, occluder_counts=(1.0,), unoccluded_share=0.0)
    sources = [f"yolo:{yolo_root}"]
    blurred, _ = draw(config, sources, tmp_path, 10)
    sharp, _ = draw(dataclasses.replace(config, blur_size=0), sources, tmp_path, 10)
    assert len(blurred) == len(sharp) >= 8
    for soft, hard in zip(blurred, sharp, strict=True):
        assert (soft.occluder == hard.occluder).all()
        assert hard.provenance["blur"] is None
        changed = (soft.image != hard.image).any(axis=2)
        band = grown(soft.occluder, 2) & ~(
            cv2.erode(soft.occluder.astype(np.uint8), np.ones((5, 5)), borderValue=1) > 0
        )
        assert changed.any()
        assert not (changed & ~band).any()
        # Without blur a hard mask is pasted hard: all that changed lies under the occluder.
        assert not ((hard.image != hard.original).any(axis=2) & ~hard.occluder).any()


def test_shares_come_out_as_asked(yolo_root: Path, tmp_path: Path) -> None:
    config = TaosConfig(seed=1, unoccluded_share=0.3, touching_share=0.3)
    made, _ = draw(config, [f"yolo:{yolo_root}"], tmp_path, 120)
    modes = [sample.provenance["mode"] for sample in made]
    for mode, share in (("occluded", 0.4), ("touching", 0.3), ("unoccluded", 0.3)):
        assert modes.count(mode) / len(modes) == pytest.approx(share, abs=0.13)


def test_other_ranges_hold_too(yolo_root: Path, tmp_path: Path) -> None:
    config = TaosConfig(
        seed=2,
        overlap=(0.4, 0.5),
        target_area=(0.05, 0.1),
        occluder_ratio=(0.8, 1.2),
        unoccluded_share=0.0,
        touching_share=0.0,
        part_share=0.0,
        occluder_counts=(1.0,),
    )
    made, _ = draw(config, [f"yolo:{yolo_root}"], tmp_path, 15)
    assert len(made) >= 10
    for sample in made:
        assert 0.4 <= sample.occlusion_rate <= 0.5
        assert 0.05 <= sample.amodal.mean() <= 0.1
        assert 0.75 <= sample.provenance["occluders"][0]["ratio"] <= 1.27
        assert sample.provenance["occluders"][0]["part"] is None


def test_any_sample_alone_equals_itself_in_a_run(
    yolo_root: Path, cutouts_root: Path, samples: list[TaosSample], tmp_path: Path
) -> None:
    sources = [f"yolo:{yolo_root}", f"cutouts:{cutouts_root}"]
    wanted = samples[-1]
    sampler = TaosSampler(TaosConfig(seed=7), sources, cache=tmp_path)
    again = sampler.draw(wanted.provenance["index"]).result
    assert isinstance(again, TaosSample)
    assert (again.image == wanted.image).all()
    assert (again.amodal == wanted.amodal).all()
    assert again.provenance == wanted.provenance


def test_cut_outs_alone_stand_before_a_painted_background(
    cutouts_root: Path, tmp_path: Path
) -> None:
    config = TaosConfig(seed=3, long_side=200)
    made, _ = draw(config, [f"cutouts:{cutouts_root}"], tmp_path, 6)
    assert len(made) == 6
    for sample in made:
        assert sample.provenance["background"] == {"kind": "painted"}
        assert len(piece_areas(sample.amodal)) == 1
        assert not sample.amodal[[0, -1]].any()
        assert not sample.amodal[:, [0, -1]].any()


def test_rejects_are_counted_and_a_sample_may_be_left_out(yolo_root: Path, tmp_path: Path) -> None:
    config = TaosConfig(target_area=(0.39, 0.40), max_attempts=5)
    made, reports = draw(config, [f"yolo:{yolo_root}"], tmp_path, 3)
    assert made == []
    for report in reports:
        assert report.rejects == {"target_small": 5, "gave_up": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"overlap": (0.7, 0.1)}, "overlap"),
        ({"overlap": (0.1, 1.2)}, "overlap"),
        ({"blur_size": 4}, "blur_size.*got 4"),
        ({"occluder_counts": (0.5, 0.2)}, "occluder_counts"),
        ({"touching_share": 0.6, "unoccluded_share": 0.6}, "at most 1"),
        ({"image_format": "bmp"}, "jpg or png"),
        ({"seed": -1}, "seed"),
        ({"frames": 0}, "frames"),
    ],
)
def test_settings_are_checked(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TaosConfig(**change)


def geometric(amodal: np.ndarray, occluder: np.ndarray, mode: str = "occluded") -> str:
    picture = np.zeros((*amodal.shape, 3), np.uint8)
    sample = TaosSample(
        picture, picture, amodal, amodal & ~occluder, amodal & occluder, occluder, {"mode": mode}
    )
    return judged(sample, TaosConfig(), None).reason


def test_the_geometric_judge() -> None:
    amodal = np.zeros((100, 100), bool)
    amodal[30:70, 30:70] = True
    empty = np.zeros_like(amodal)
    half, most, little, stripes = empty.copy(), empty.copy(), empty.copy(), empty.copy()
    half[:, :50] = True
    most[:, :65] = True
    little[:, :32] = True
    stripes[:, [35, 42, 49, 56, 63]] = True
    assert geometric(amodal, half) == ""
    assert geometric(amodal, most) == "judge_overlap_high"
    assert geometric(amodal, little) == "judge_overlap_low"
    assert geometric(amodal, stripes) == "judge_fragments"
    assert geometric(amodal, half, "touching") == "judge_unwanted_overlap"
    assert geometric(amodal, empty, "unoccluded") == ""
    tiny = empty.copy()
    tiny[:5, :5] = True
    assert geometric(tiny, empty, "unoccluded") == "judge_target_size"


def test_thin_cut_outs_become_targets_whole_or_in_part(yolo_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "thin"
    folder.mkdir()
    for number in range(3):
        rgba = np.zeros((120, 400, 4), np.uint8)
        cv2.line(rgba, (20, 30 + 20 * number), (380, 60), (90, 140, 200, 255), 9)
        cv2.imwrite(str(folder / f"pen{number}.png"), rgba)
    made, _ = draw(
        TaosConfig(seed=3, unoccluded_share=0.5, touching_share=0.5, overlap=(0, 0.7)),
        [f"cutouts:{folder}", f"yolo:{yolo_root}"],
        tmp_path / "cache",
        count=30,
    )
    thin = [sample for sample in made if is_thin(sample.amodal)]
    assert len(thin) >= 5
    assert min(sample.amodal.mean() for sample in thin) < 0.02
    parts = ["part" in sample.provenance["target"]["transform"] for sample in thin]
    assert 0 < sum(parts) < len(parts)
