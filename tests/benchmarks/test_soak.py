# SPDX-License-Identifier: Apache-2.0
"""The soak benchmark: what it calls growth, what it draws, and a real run in small."""

from __future__ import annotations

import json
from itertools import islice

import cv2
import numpy as np
import pytest

from benchmarks.soak.__main__ import main, replayed_clip
from benchmarks.soak.judgement import PARTS, Sample, judge, largest_change, settled, write_picture


def run_of(rss_mib, total_ms=100.0):
    """One sample a minute."""
    return [
        Sample(float(minute), float(rss), total_ms, 0.9 * total_ms, 4, 20, 30)
        for minute, rss in enumerate(rss_mib)
    ]


def change(rss_mib) -> dict:
    return judge(run_of(rss_mib), {})["marks"]["memory_change_after_warm_up"]


def test_a_flat_run_is_flat_whatever_the_warm_up_and_single_frames_do():
    rss = np.full(200, 500.0)
    rss[:20] = np.linspace(100, 500, 20)
    rss[77] = 900.0
    assert change(rss) == {"value": 0.0, "limit": 0.02, "unit": "relative", "met": True}


def test_a_leak_is_growth():
    rss = 500 + 0.1 * np.arange(200)
    mark = change(rss)
    # From the middle of the first tenth to that of the last: 162 samples.
    assert mark["value"] == pytest.approx(0.1 * 162 / 503, rel=0.01)
    assert not mark["met"]


def test_memory_that_falls_is_a_change_too():
    assert largest_change([100.0] * 50 + [90.0] * 50) == pytest.approx(0.1)


def test_warm_up_is_the_first_tenth():
    assert settled(run_of(range(101)))[0].minute == 10.0


def test_a_run_that_is_too_short_says_so():
    with pytest.raises(ValueError, match=f"at least {PARTS} values, got 2"):
        judge(run_of([1, 1, 1]), {})


def test_losses_and_numbers_are_reported():
    results = judge(run_of([100.0] * 50), {"dropped_engine_error": 2})
    assert not results["marks"]["frames_lost_to_the_engine"]["met"]
    assert results["losses"] == {"dropped_engine_error": 2}
    assert results["milliseconds"]["everything_but_engine"]["median"] == pytest.approx(10.0)
    assert (results["frames"], results["threads"], results["open_files"]) == (50, [20], [30])


def test_the_picture_shows_the_curves(tmp_path):
    pictures = []
    for name, memory in (("flat", [500.0] * 100), ("step", [500.0] * 50 + [600.0] * 50)):
        write_picture(tmp_path / "new" / f"{name}.png", run_of(memory))
        pictures.append(cv2.imread(str(tmp_path / "new" / f"{name}.png")))
    flat, step = pictures
    middle = flat.shape[0] // 2
    assert (flat[:middle] != step[:middle]).any()
    np.testing.assert_array_equal(flat[middle + 30 :, 100:], step[middle + 30 :, 100:])
    with pytest.raises(ValueError, match="no-such-format"):
        write_picture(tmp_path / "soak.no-such-format", run_of([500.0] * 100))


def test_the_clip_has_boxes_inside_its_pictures():
    scenes = list(islice(replayed_clip(4), 96))
    names = {name for scene in scenes for name in scene.boxes_xyxy}
    assert len(names) == 4
    for scene in scenes:
        height, width = scene.picture.shape[:2]
        for x0, y0, x1, y1 in scene.boxes_xyxy.values():
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
    assert scenes[0] is scenes[48]
    assert len({id(scene) for scene in scenes}) == 48


@pytest.mark.slow
def test_a_short_run_of_the_real_node(tmp_path):
    out, picture = tmp_path / "soak.json", tmp_path / "soak.png"
    status = main(
        ["--minutes", "1.5", "--threads", "2", "--out", str(out), "--picture", str(picture)]
    )
    document = json.loads(out.read_text())
    marks = document["results"]["marks"]
    assert status == (0 if all(mark["met"] for mark in marks.values()) else 1)
    assert document["results"]["frames"] >= PARTS
    assert document["results"]["objects"]["max"] >= 3
    assert marks["frames_lost_to_the_engine"]["met"]
    assert cv2.imread(str(picture)) is not None
