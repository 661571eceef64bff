# SPDX-License-Identifier: Apache-2.0
"""Two manifests in one folder are those of one model at two sizes, or they are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from amodal_ros.errors import ManifestError
from amodal_ros.model_folder.small import SMALL_NAME, check_small, load_small
from tests.fakes import SIZE, fake_manifest, manifest_content

FULL = fake_manifest("roi", "roi")
SMALL = fake_manifest("roi", "roi", size=SIZE // 2)


def test_one_model_at_two_sizes() -> None:
    check_small(SMALL, FULL)


@pytest.mark.parametrize(
    ("small", "full", "said"),
    [
        (FULL, FULL, "image_size: expected less than 64, got 64"),
        (replace(SMALL, roi_factor=1.5), FULL, "roi_factor: expected 2.0, got 1.5"),
        (replace(SMALL, family="sam"), FULL, "family: expected 'mobile_sam', got 'sam'"),
        (SMALL, fake_manifest(), "expected a model of mode 'roi', got 'full'"),
        (SMALL, replace(FULL, shared_outline=True), "shared_outline: expected True, got False"),
        (
            fake_manifest("roi", "roi", size=SIZE // 2, one_pass=True),
            FULL,
            r"decoder: expected tensors \[.*'visible_logits'\]",
        ),
    ],
)
def test_others_are_refused(small, full, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        check_small(small, full)


def test_a_folder_without_one_has_one_size(tmp_path: Path) -> None:
    assert load_small(replace(FULL, directory=tmp_path)) is None


def test_its_files_are_checked(tmp_path: Path) -> None:
    content = manifest_content("roi", "roi", size=SIZE // 2)
    (tmp_path / SMALL_NAME).write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=r"x\.onnx: expected a file of 1 bytes, found none"):
        load_small(replace(FULL, directory=tmp_path))
    (tmp_path / SMALL_NAME).write_text(json.dumps({**content, "depth": 1}))
    with pytest.raises(ManifestError, match=r"small\.json.*depth"):
        load_small(replace(FULL, directory=tmp_path))
