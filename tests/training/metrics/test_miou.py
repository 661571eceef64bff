# SPDX-License-Identifier: Apache-2.0
"""Against a slow implementation on sets of pixels, and cases worked out by hand."""

from __future__ import annotations

import doctest
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amodal_ros import metrics
from amodal_ros.errors import InvalidInputError
from amodal_ros.metrics import MiouResult, c2f, measure_overlap
from training.metrics import miou
from training.metrics.miou import (
    VideoMiouResult,
    bucket_label,
    c2f_video,
    occluded_only,
    pooled,
    video_post,
)

Pixels = set[tuple[int, int]]


def pixels(mask: np.ndarray) -> Pixels:
    return {(int(y), int(x)) for y, x in np.argwhere(mask)}


def iou(a: Pixels, b: Pixels, empty: int) -> Fraction:
    return Fraction(len(a & b), len(a | b)) if a | b else Fraction(empty)


class SlowC2f:
    """Straight from the words of the definition, exact."""

    def __init__(self, instances: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
        self.sets = [tuple(pixels(m) for m in instance) for instance in instances]
        self.masks = instances

    def c2f(self) -> MiouResult:
        full = [iou(p, g, 1) for p, g, _ in self.sets]
        occ = sum((iou(p - v, g - v, 0) for p, g, v in self.sets), Fraction(0))
        occluded = sum(g.astype(int).sum() != v.astype(int).sum() for _, g, v in self.masks)
        return MiouResult(
            float(sum(full) / len(full)) if full else None,
            float(occ / int(occluded)) if occluded else None,
            len(full),
            int(occluded),
        )

    def pooled(self) -> tuple[float | None, float | None]:
        def ratio(pairs: list[tuple[Pixels, Pixels]]) -> float | None:
            union = sum(len(a | b) for a, b in pairs)
            return sum(len(a & b) for a, b in pairs) / union if union else None

        hidden = [(p - v, g - v) for p, g, v in self.sets]
        return ratio([(p, g) for p, g, _ in self.sets]), ratio(hidden)

    def occluded_only(self, low: float, high: float) -> tuple[float | None, float | None, int]:
        chosen = [(p, g, v) for p, g, v in self.sets if g and low <= len(g - v) / len(g) <= high]
        if not chosen:
            return None, None, 0
        full = sum((iou(p, g, 1) for p, g, _ in chosen), Fraction(0)) / len(chosen)
        occ = sum((iou(p - v, g - v, 0) for p, g, v in chosen), Fraction(0)) / len(chosen)
        return float(full), float(occ), len(chosen)


@st.composite
def instances(draw, at_most: int = 7):
    """Random triples, often nested, sometimes empty, sometimes with V outside G."""
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    result = []
    for _ in range(draw(st.integers(0, at_most))):
        hw = (int(rng.integers(1, 9)), int(rng.integers(1, 9)))
        amodal = rng.random(hw) < rng.choice([0, 0.3, 0.7, 1])
        visible = rng.random(hw) < rng.choice([0, 0.5, 1])
        if rng.random() < 0.7:
            visible &= amodal
        prediction = rng.random(hw) < rng.choice([0, 0.5, 1])
        if rng.random() < 0.5:
            prediction = amodal ^ (rng.random(hw) < 0.2)
        result.append((prediction, amodal, visible))
    return result


@given(instances())
@settings(max_examples=150, deadline=None)
def test_all_miou_agree_with_sets_of_pixels(triples):
    slow = SlowC2f(triples)
    overlaps = [measure_overlap(*masks) for masks in triples]
    assert c2f(overlaps).__dict__ == pytest.approx(slow.c2f().__dict__)
    result = pooled(overlaps)
    assert (result.miou_full, result.miou_occ) == pytest.approx(slow.pooled())
    assert (result.n, result.n_occluded) == (len(triples), slow.c2f().n_occluded)
    result = occluded_only(overlaps)
    full, occ, count = slow.occluded_only(0.1, 0.7)
    assert (result.miou_full, result.miou_occ, result.n) == pytest.approx((full, occ, count))


def mask(text: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in text.split()])


WHOLE, SEEN = mask("#### ####"), mask("##.. ##..")


def c2f_of(*triples: tuple[np.ndarray, np.ndarray, np.ndarray]) -> MiouResult:
    return c2f(measure_overlap(*masks) for masks in triples)


def test_by_hand():
    found = c2f_of(
        (mask("###. ###."), WHOLE, SEEN),  # 6/8 and 2/4
        (SEEN, SEEN, SEEN),  # whole: 1, not occluded
        (mask("#### ...."), WHOLE, mask(".... ####")),  # 4/8 and 4/4
    )
    assert found == MiouResult(0.75, 0.75, 3, 2)


def test_hidden_prediction_on_an_unoccluded_object_adds_nothing_and_is_not_counted():
    assert c2f_of((WHOLE, SEEN, SEEN)) == MiouResult(0.5, None, 1, 0)


def test_nothing_gives_null_and_two_empty_masks_give_one():
    assert c2f([]) == pooled([]) == occluded_only([]) == MiouResult(None, None, 0, 0)
    assert c2f_video([]) == VideoMiouResult(None, None, 0, 0)
    empty = np.zeros((2, 4), dtype=bool)
    assert c2f_of((empty, empty, empty)) == MiouResult(1.0, None, 1, 0)


def test_occluded_is_decided_by_the_signed_sum_as_in_the_published_code():
    """Two visible pixels outside G cancel two hidden ones inside: not counted as occluded."""
    amodal, visible = mask("####...."), mask("##..##..")
    predicted = mask("###.....")
    result = c2f_of((predicted, amodal, visible), (predicted, amodal, mask("##......")))
    assert result.n_occluded == 1
    assert result.miou_occ == pytest.approx(0.5 + 0.5)
    assert c2f_of((amodal, amodal, mask("#####..."))) == MiouResult(1.0, 0.0, 1, 1)


def test_mean_and_pooled_differ():
    big_hit = np.ones((10, 10), dtype=bool)
    small_miss = np.zeros((10, 10), dtype=bool)
    small_miss[0, 0] = True
    triples = (big_hit, big_hit, big_hit), (np.zeros_like(small_miss), small_miss, small_miss)
    overlaps = [measure_overlap(*masks) for masks in triples]
    assert c2f(overlaps).miou_full == 0.5
    assert pooled(overlaps).miou_full == pytest.approx(100 / 101)


@pytest.mark.parametrize(("seen", "included"), [(91, 0), (90, 1), (30, 1), (29, 0)])
def test_occluded_only_includes_both_ends(seen, included):
    whole = np.ones((1, 100), dtype=bool)
    overlap = measure_overlap(whole, whole, np.arange(100)[None] < seen)
    assert occluded_only([overlap]).n == included


@given(instances(), st.integers(0, 2**16))
@settings(max_examples=80, deadline=None)
def test_video_agrees_with_sets_of_pixels(triples, seed):
    rng = np.random.default_rng(seed)
    clips: dict[int, list] = {}
    frames: dict[int, list[tuple[Fraction, Fraction]]] = {}
    for clip, (p, g, v) in zip(rng.integers(0, 3, len(triples)), triples, strict=True):
        clips.setdefault(int(clip), []).append(measure_overlap(p, g, v))
        ps, gs, vs = pixels(p), pixels(g), pixels(v)
        frames.setdefault(int(clip), []).append((iou(ps, gs, 0), iou(ps - vs, gs - vs, 0)))
    result = c2f_video(clips.values())
    assert result.n == len(frames)
    assert result.n_frames == sum(map(len, frames.values()))
    for which, value in enumerate((result.miou_full, result.miou_occ)):
        if not frames:
            assert value is None
            continue
        means = [sum(f[which] for f in clip) / len(clip) for clip in frames.values()]
        assert value == pytest.approx(float(sum(means) / len(means)))


def test_video_by_hand():
    """First clip: 1 and 0.5 of whole, 1 and an empty occlusion; second: one frame of 0.25."""
    first = [measure_overlap(WHOLE, WHOLE, SEEN), measure_overlap(SEEN, WHOLE, WHOLE)]
    second = [measure_overlap(mask("#... #..."), WHOLE, SEEN)]
    assert c2f_video([first, second]) == VideoMiouResult(0.5, 0.25, 2, 3)


def test_video_post_keeps_the_prediction_only_where_the_extent_is_uncertain():
    post = video_post(mask("##.#"), mask("...#"), mask("#..#"))
    np.testing.assert_array_equal(post, mask(".#.#"))


def test_bad_input_is_refused():
    with pytest.raises(InvalidInputError, match=r"prediction must be \(H, W\) bool, got uint8"):
        measure_overlap(WHOLE.astype(np.uint8), WHOLE, SEEN)
    with pytest.raises(InvalidInputError, match=r"amodal is \(1, 4\), the masks before it are"):
        measure_overlap(WHOLE, mask("####"), SEEN)
    with pytest.raises(InvalidInputError, match=r"in \[0, 1\], got 1.5"):
        bucket_label(1.5)


@pytest.mark.parametrize("module", [metrics, miou])
def test_examples_in_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
