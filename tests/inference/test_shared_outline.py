# SPDX-License-Identifier: Apache-2.0
"""Whole objects end where what is seen of them does, unless something hides them there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from amodal_ros.inference.postprocess import with_shared_outline
from amodal_ros.inference.predictor import AmodalPredictor
from tests.fakes import LOW, FakeBackend, fake_manifest


def logits(*values: float) -> np.ndarray:
    """(1, 1, 1, s)."""
    return np.array(values, np.float32)[None, None, None]


def test_the_edge_is_the_visible_masks_where_both_nearly_agree() -> None:
    amodal, visible = logits(-0.5, -0.5, 0.5), logits(0.9, -0.1, -0.9)
    found = with_shared_outline(amodal, visible)
    assert ((found > 0) == (visible > 0)).all()
    assert (np.abs(found - visible) < np.abs(amodal - visible)).all()


def test_what_is_hidden_stays_hidden_and_what_lies_across_stays_off() -> None:
    amodal, visible = logits(8.0, 1.0, -8.0, -3.0), logits(-8.0, -5.0, 8.0, 3.0)
    found = with_shared_outline(amodal, visible)
    np.testing.assert_allclose(found, amodal, atol=0.01)


def test_two_equal_masks_are_kept_bit_for_bit() -> None:
    """The base model's: with gain 0 both are one."""
    values = np.random.default_rng(0).normal(scale=8, size=(3, 1, 16, 16)).astype(np.float32)
    kept = values.copy()
    assert np.array_equal(with_shared_outline(values, kept), kept)
    assert np.array_equal(values, kept)  # neither is written to


class _Inside(FakeBackend):
    """The whole object ends two cells inside of what is seen, by unsure logits."""

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = super().run(graph, inputs)
        if graph != "decoder":
            return found
        visible = np.full((len(inputs["point_labels"]), 1, LOW, LOW), -6, np.float32)
        amodal = visible.copy()
        visible[:, :, 8:24, 8:24], amodal[:, :, 8:24, 8:24] = 0.6, -0.4
        visible[:, :, 10:22, 10:22] = amodal[:, :, 10:22, 10:22] = 6
        amodal[:, :, 10:22, 22:30] = 6  # hidden
        return {**found, "low_res_logits": amodal, "visible_logits": visible}


@pytest.mark.parametrize("shared", [True, False])
def test_whole_objects_have_that_outline_where_the_model_folder_says_so(shared: bool) -> None:
    manifest = replace(fake_manifest("roi", "roi", one_pass=True), shared_outline=shared)
    predictor = AmodalPredictor(manifest, _Inside(manifest))
    image = np.full((90, 120, 3), 100, np.uint8)
    found = predictor.predict(predictor.encode(image), np.array([[30, 30, 60, 60]], np.float32))
    visible, whole = found.visible_masks[0], found.raw_amodal_masks[0]
    assert ((whole & visible).sum() == visible.sum()) == shared
    assert (whole & ~visible).sum() > 0.2 * visible.sum()  # what is hidden
