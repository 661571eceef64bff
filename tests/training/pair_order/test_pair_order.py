# SPDX-License-Identifier: Apache-2.0
"""Weights of witnesses, learned from drawn pictures whose order is known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from amodal_ros.annotations.amodal_coco import AmodalCocoWriter
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.occlusion.pair_weights import WITNESSES
from training.pair_order.__main__ import main
from training.pair_order.fit import fit, held_out
from training.pair_order.pictures import TruePair, cached_rows, pictures_of, true_pairs
from training.untrusted import CorruptRecordError

HW = 60, 80


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def write_scenes(folder: Path, scenes: int) -> None:
    """A thing before another one, and one apart; two views of each scene."""
    rng = np.random.default_rng(0)
    chunk = folder / "chunk_00000"
    (chunk / "images").mkdir(parents=True)
    writer = AmodalCocoWriter({}, ["thing"])
    for scene in range(scenes):
        for view in range(2):
            x, y = (int(value) for value in rng.integers(0, 10, 2))
            front, back = (
                rectangle(x, y + 10, x + 30, y + 40),
                rectangle(x + 20, y, x + 45, y + 25),
            )
            things = [(front, front), (back, back & ~front), (rectangle(72, 50, 78, 58),) * 2]
            name = f"train_{scene:06d}_{view}.jpg"
            assert cv2.imwrite(str(chunk / "images" / name), np.zeros((*HW, 3), np.uint8))
            image = writer.add_image(name, HW)
            for number in rng.permutation(3):
                writer.add_object(image, "thing", *things[number])
    writer.write(chunk / "annotations.json")


class Model:
    """Gives what is seen as both masks: it completes nothing."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def encode(self, image: np.ndarray) -> np.ndarray:
        assert image.shape == (*HW, 3)
        return image

    def predict(self, image: np.ndarray, boxes: Any) -> SimpleNamespace:
        self.asked.append(len(boxes))
        masks = [CroppedMask.of(rectangle(*box)) for box in boxes]
        return SimpleNamespace(visible=masks, amodal=masks)

    def close(self) -> None:
        pass


def ask(model: Model) -> Any:
    def predict(image: np.ndarray, boxes: Any) -> tuple[Any, Any]:
        found = model.predict(model.encode(image), boxes)
        return found.visible, found.amodal

    return predict


def test_true_pairs_are_those_of_which_it_is_known() -> None:
    front, back, hand = (
        rectangle(0, 0, 30, 30),
        rectangle(20, 0, 50, 30),
        rectangle(18, 0, 32, 30),
    )

    def pairs(*objects: tuple[np.ndarray, np.ndarray]) -> list[TruePair]:
        return list(true_pairs(*([CroppedMask.of(o[k]) for o in objects] for k in (0, 1))))

    assert pairs((front, front), (back & ~front, back)) == [TruePair(0, 1, True)]
    assert pairs((back & ~front, back), (front, front)) == [TruePair(0, 1, False)]
    assert pairs((front & ~hand, front), (back & ~hand, back)) == []
    apart = rectangle(40, 40, 60, 60)
    assert pairs((front, front), (apart, apart)) == []


def test_rows_are_kept_and_asked_for_once(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", 2)
    pictures = pictures_of(tmp_path / "scenes")
    assert [(one.scene, one.view) for one in pictures[:2]] == [
        ("scenes_train_000000", 0),
        ("scenes_train_000000", 1),
    ]
    assert len(pictures_of(tmp_path / "scenes", views=1)) == 2
    model = Model()
    rows = [cached_rows(one, ask(model), tmp_path) for one in pictures]
    assert model.asked == [2, 2, 2, 2]  # not for the thing that overlaps none
    assert all(len(found) == 1 and len(found[0]) == len(WITNESSES) + 1 for found in rows)
    assert rows == [cached_rows(one, ask(model), tmp_path) for one in pictures]
    assert len(model.asked) == 4
    feet, truth = (np.array([found[0][k] for found in rows]) for k in (6, -1))
    np.testing.assert_array_equal(feet > 0, truth > 0)


def test_a_picture_that_is_gone_is_named(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", 1)
    (picture, _) = pictures_of(tmp_path / "scenes")
    picture.path.unlink()
    with pytest.raises(CorruptRecordError, match=r"0_0.jpg, record image: expected a picture"):
        cached_rows(picture, ask(Model()), tmp_path)


def test_the_fit_finds_the_odds_that_pairs_were_drawn_by() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(4000, 3)), np.array([2.0, -1.0, 0.0])
    truth = rng.random(4000) < 1 / (1 + np.exp(-values @ weights))
    found = fit(values, truth, ridge=0.01)
    np.testing.assert_allclose(found, weights, atol=0.2)
    np.testing.assert_allclose(fit(-values, ~truth, ridge=0.01), found, atol=1e-9)
    assert np.abs(fit(values, truth, ridge=100)).max() < 0.5
    scenes = [str(k // 4) for k in range(4000)]
    told = held_out(values, truth, scenes, 0.01)
    assert 0.75 < told.accuracy < 0.9
    assert told.loss < 0.5
    shuffled = held_out(values, rng.permutation(truth), scenes, 0.01)
    assert shuffled.accuracy < 0.6


def test_the_command_writes_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scenes(tmp_path / "scenes", 6)
    monkeypatch.setattr("amodal_ros.loading.load_predictor", lambda _: Model())
    options = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "weights.json")]
    assert main(["--scenes", str(tmp_path / "scenes"), *options]) == 0
    written = json.loads((tmp_path / "weights.json").read_text(encoding="utf-8"))
    assert tuple(written["weights"]) == WITNESSES
    assert written["weights"]["feet"] > 0
    assert (written["pairs"], written["scenes"]) == (12, 6)
    assert written["held_out_accuracy"] == 1.0
    assert main(["--scenes", str(tmp_path), *options]) == 1  # no pictures
