# SPDX-License-Identifier: Apache-2.0
"""Photos without annotations: the model's own masks, sifted as SA-1B's were, made once."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from amodal_ros.inference.predictor import AmodalPredictor
from tests.fakes import FakeBackend, fake_manifest
from tests.training.taos.taos_drawings import HW, draw_photo, jpeg
from training.taos.config import TaosConfig
from training.taos.sampler import TaosSampler
from training.taos.sources.photos import SelfSegmentedSource
from training.taos.sources.segment_everything import SelfMask, segment_everything
from training.untrusted import CorruptRecordError


class ColourBackend(FakeBackend):
    """Its mask is everything with the colour under the point; noisy where the image is dark."""

    def _decoder(self, embeddings, point_coords, point_labels, adapter_gain=None):
        assert (point_labels == (1.0, -1.0)).all()  # one point on the object, no box
        grey = embeddings[:, 0]
        logits, quality = [], []
        for row, (x, y) in enumerate(point_coords[:, 0]):
            value = grey[row][int(y), int(x)]
            near = 3.0 - 30.0 * np.abs(grey[row] - value)
            near = cv2.resize(near.astype(np.float32), (32, 32), interpolation=cv2.INTER_NEAREST)
            if value < -1.0:
                near = near * 0.2  # a wide unsure band: not stable
            logits.append(near[None])
            quality.append(0.5 if value > 1.8 else 0.95)
        return {
            "low_res_logits": np.stack(logits).astype(np.float32),
            "predicted_iou": np.array(quality, np.float32),
        }


def four_fields() -> np.ndarray:
    """Grey, unstable dark, doubtful white and an ordinary light field."""
    image = np.full((64, 64, 3), 110, np.uint8)
    image[:32, 32:] = 5
    image[:32, 32:][::2] = 12
    image[32:, :32] = 252
    image[32:, 32:] = 170
    return image


@pytest.mark.parametrize(("mode", "geometry"), [("full", "letterbox"), ("roi", "roi")])
def test_good_stable_masks_are_kept_once(mode: str, geometry: str) -> None:
    manifest = fake_manifest(mode, geometry)
    backend = ColourBackend(manifest)
    found = segment_everything(AmodalPredictor(manifest, backend), four_fields(), grid=8)
    masks = [item.mask for item in found]
    assert len(found) == 2
    quarters = {"grey": (slice(2, 30), slice(2, 30)), "light": (slice(34, 62), slice(34, 62))}
    for place in quarters.values():
        assert sum(mask[place].all() for mask in masks) == 1
    for item in found:
        assert item.mask.sum() == pytest.approx(32 * 32, rel=0.15)
        assert item.mask[int(item.point_xy[1]), int(item.point_xy[0])]
        assert item.stability >= 0.90
    suffix = [inputs for graph, inputs in backend.calls if graph == "suffix"]
    # The photo is encoded once, where regions are looked at with its four corners,
    assert len(suffix) == (1 if mode == "full" else 5)
    assert all((inputs["adapter_gain"] == 0).all() for inputs in suffix)  # by the base model


class CountingSegmenter:
    """Knows the drawn photos' masks by their pixels."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, rgb: np.ndarray) -> list[SelfMask]:
        self.calls += 1
        seeds = range(4)
        errors = [np.abs(draw_photo(s)[0].astype(int) - rgb).mean() for s in seeds]
        masks = draw_photo(int(np.argmin(errors)))[1]
        return [SelfMask(mask, 0.95, 0.97, (1.0, 2.0)) for mask in masks]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    for seed in range(4):
        (root / ("sub" if seed % 2 else ".") / f"{seed}.jpg").write_bytes(
            jpeg(draw_photo(seed)[0])
        )
    (root / "readme.txt").write_text("no photo")
    return root


def test_masks_are_made_once_and_kept(folder: Path, tmp_path: Path, config: TaosConfig) -> None:
    first, second = CountingSegmenter(), CountingSegmenter()
    source = SelfSegmentedSource(f"photos:{folder}", folder, config, tmp_path / "c", first)
    keys = [str(key) for key in source.pool(0)]
    assert sorted(keys) == ["0.jpg", "2.jpg", "sub/1.jpg", "sub/3.jpg"]
    for key in keys:
        photo = source.photo(key, 640)
        expected = draw_photo(int(Path(key).stem))[1]
        for item, mask in zip(photo.objects, expected, strict=True):
            assert (item.rasterise(HW) == mask).all()
    assert first.calls == 4
    again = SelfSegmentedSource(f"photos:{folder}", folder, config, tmp_path / "c", second)
    assert len(again.photo("0.jpg", 640).objects) == 3
    assert second.calls == 0
    (folder / "0.jpg").write_bytes(jpeg(draw_photo(7)[0]))  # another photo, other masks
    again.photo("0.jpg", 640)
    assert second.calls == 1


def test_the_cache_is_sa1b_json(folder: Path, tmp_path: Path, config: TaosConfig) -> None:
    source = SelfSegmentedSource("photos:x", folder, config, tmp_path / "c", CountingSegmenter())
    source.photo("0.jpg", 640)
    (kept,) = (tmp_path / "c" / "photos").glob("*.json")
    entry = json.loads(kept.read_text())["annotations"][0]
    assert {"segmentation", "bbox", "area", "predicted_iou", "stability_score", "crop_box",
            "point_coords", "id"} == set(entry)  # fmt: skip
    kept.write_text("{")
    with pytest.raises(CorruptRecordError, match=r"0\.jpg"):
        source.photo("0.jpg", 640)


@pytest.mark.slow
def test_the_embedded_model_segments_a_drawn_photo(tmp_path: Path) -> None:
    image, masks = draw_photo(1)
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/a.png"), image[..., ::-1])
    config = TaosConfig(photos_grid=6, unoccluded_share=1.0, touching_share=0.0, max_attempts=10)
    source = SelfSegmentedSource("photos:x", tmp_path / "in", config, tmp_path)
    photo = source.photo("a.png", 640)
    found = [item.rasterise(HW) for item in photo.objects]
    for mask in masks:
        best = max((mask & other).sum() / (mask | other).sum() for other in found)
        assert best > 0.9
    sampler = TaosSampler(config, [f"photos:{tmp_path / 'in'}"], cache=tmp_path)
    assert sampler.draw(0).result is not None
