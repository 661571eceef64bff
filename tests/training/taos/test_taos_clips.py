# SPDX-License-Identifier: Apache-2.0
"""Clips: smooth, consistent, numbered."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from training.taos.clips import smooth_path
from training.taos.config import TaosConfig
from training.taos.sampler import TaosSampler
from training.taos.types import TaosClip

FRAMES = 8


@pytest.fixture(scope="module")
def clips(yolo_root: Path, cutouts_root: Path, tmp_path_factory) -> list[TaosClip]:
    config = TaosConfig(seed=4, frames=FRAMES)
    sources = [f"yolo:{yolo_root}", f"cutouts:{cutouts_root}"]
    sampler = TaosSampler(config, sources, cache=tmp_path_factory.mktemp("cache"))
    drawn = [sampler.draw(index).result for index in range(8)]
    made = [clip for clip in drawn if isinstance(clip, TaosClip)]
    assert len(made) == 8
    return made


def centre(mask: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(mask)
    return np.array([xs.mean(), ys.mean()])


def test_numbering(clips: list[TaosClip]) -> None:
    for index, clip in enumerate(clips):
        assert len(clip.frames) == FRAMES
        for number, frame in enumerate(clip.frames):
            assert frame.provenance["video_id"] == index
            assert frame.provenance["frame"] == number
            assert frame.provenance["track_id"] == 1


def test_masks_and_ranges(clips: list[TaosClip]) -> None:
    for clip in clips:
        rates = [frame.occlusion_rate for frame in clip.frames]
        if clip.frames[0].provenance["mode"] == "occluded":
            assert 0.10 <= max(rates) <= 0.70
            moment = clip.frames[0].provenance["occluders"][0]["moment"]
            assert rates[moment] >= 0.08
        else:
            assert max(rates) == 0.0
        for frame in clip.frames:
            assert (frame.visible == (frame.amodal & ~frame.occluder)).all()
            assert 0.02 <= frame.amodal.mean() <= 0.40
            assert not frame.amodal[[0, -1]].any()
            assert not frame.amodal[:, [0, -1]].any()
            assert frame.visible.any()


def test_everything_moves_smoothly(clips: list[TaosClip]) -> None:
    moved = 0
    for clip in clips:
        path = np.array([centre(frame.amodal) for frame in clip.frames])
        steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
        side = np.sqrt(clip.frames[0].amodal.sum())
        assert steps.max() < 0.5 * side + 2
        bends = np.linalg.norm(np.diff(path, n=2, axis=0), axis=1)
        assert bends.max() < 0.25 * side + 2
        moved += path.std(axis=0).max() > 2
        background = [f.original[~f.amodal].astype(float).mean() for f in clip.frames]
        assert np.std(background) < 12
        first, last = clip.frames[0], clip.frames[-1]
        outside = ~(first.amodal | last.amodal)
        assert (first.original[outside] != last.original[outside]).mean() > 0.3  # it pans
    assert moved >= 6


def test_same_seed_same_clip(
    yolo_root: Path, cutouts_root: Path, clips: list[TaosClip], tmp_path: Path
) -> None:
    sources = [f"yolo:{yolo_root}", f"cutouts:{cutouts_root}"]
    config = TaosConfig(seed=4, frames=FRAMES)
    again = TaosSampler(config, sources, cache=tmp_path).draw(5).result
    for a, b in zip(again.frames, clips[5].frames, strict=True):
        assert (a.image == b.image).all()
        assert (a.amodal == b.amodal).all()
    other = dataclasses.replace(config, seed=5)
    different = TaosSampler(other, sources, cache=tmp_path).draw(5).result
    assert different.frames[0].image.shape != again.frames[0].image.shape or (
        (different.frames[0].image != again.frames[0].image).any()
    )


def test_smooth_path_stays_in_reach() -> None:
    for seed in range(20):
        path = smooth_path(np.random.default_rng(seed), 50, 2, 10.0)
        assert np.abs(path).max() <= 10.0
        assert np.abs(np.diff(path, axis=0)).max() < 2.0
