# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import functools
import pickle

import pytest
import segment_anything
import torch

from amodal_ros.errors import CheckpointError
from amodal_ros.modeling.amodal_sam import VIT_SPECS, build_sam
from amodal_ros.modeling.base_weights import (
    infer_member,
    load_official_state,
    read_base_weights,
    read_official_checkpoint,
)
from amodal_ros.modeling.build import build_amodal, load_amodal
from amodal_ros.modeling.checkpoint import save_checkpoint
from amodal_ros.modeling.config import MEMBERS, SAM2_MEMBERS, SAM_MEMBERS, AmodalConfig
from amodal_ros.modeling.cost import empty_weights
from tests.modeling.family_support import TINY_VIT, activate, official_sam2, randomise


@functools.cache
def official_state(member: str) -> dict[str, torch.Tensor]:
    """The official model's names and shapes, from the official package's own builder."""
    with empty_weights():
        if member in SAM_MEMBERS:
            return segment_anything.sam_model_registry[member[4:]]().state_dict()
        if member in SAM2_MEMBERS:
            return official_sam2(member, 1024, device="meta").state_dict()
        import mobile_sam

        return mobile_sam.sam_model_registry["vit_t"]().state_dict()


@pytest.mark.parametrize("member", MEMBERS)
def test_layout_is_that_of_the_official_package(member):
    with empty_weights():
        ours = build_amodal(AmodalConfig(base=member))
    expected = {name: t.shape for name, t in official_state(member).items()}
    unused = ("image_encoder.head.", "image_encoder.norm_head.")
    expected = {name: shape for name, shape in expected.items() if not name.startswith(unused)}
    assert {name: t.shape for name, t in ours.base.state_dict().items()} == expected


@pytest.mark.parametrize("member", MEMBERS)
def test_member_is_inferred_from_the_state(member):
    assert infer_member(official_state(member), "a state") == member


@pytest.fixture(scope="module")
def sam2_file(tmp_path_factory):
    """An official checkpoint of SAM 2.1 T with random weights, in its own layout."""
    path = tmp_path_factory.mktemp("weights") / "sam2.1_hiera_tiny.pt"
    torch.save({"model": randomise(official_sam2("sam2.1_hiera_t", 1024)).state_dict()}, path)
    return path


def test_reads_the_layout_of_sam2(sam2_file):
    checkpoint = read_official_checkpoint(sam2_file)
    assert checkpoint.member == "sam2.1_hiera_t"
    assert len(checkpoint.sha256) == 64
    model = build_amodal(AmodalConfig(base="sam2.1_hiera_t", image_size=64), sam2_file)
    for name, tensor in model.base.state_dict().items():
        assert torch.equal(tensor, checkpoint.state[name])


def test_adapters_go_back_on_their_base_alone(sam2_file, tmp_path):
    weights = read_base_weights(sam2_file)
    config = AmodalConfig(base="sam2.1_hiera_t", image_size=64, positions=(2, 4), hidden_dim=8)
    trained = activate(build_amodal(config, weights))
    path = tmp_path / "adapters.safetensors"
    save_checkpoint(path, trained, weights.identity, training={"steps": 3})
    assert path.stat().st_size < 0.01 * sam2_file.stat().st_size

    loaded, header = load_amodal(path, sam2_file)
    assert header.config == config
    assert header.training == {"steps": 3}
    for name, tensor in trained.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)

    other = tmp_path / "other.pt"
    state = dict(weights.state)
    state["no_mem_embed"] = state["no_mem_embed"] + 1e-3
    torch.save({"model": state}, other)
    with pytest.raises(CheckpointError, match=r"sam2\.1_hiera_tiny\.pt.*other\.pt"):
        load_amodal(path, other)


def test_refuses_the_checkpoint_of_another_member(sam2_file):
    with pytest.raises(CheckpointError, match=r"sam2\.1_hiera_t, expected sam2_hiera_t"):
        build_amodal(AmodalConfig(base="sam2_hiera_t", image_size=64), sam2_file)


def test_names_what_is_missing_and_unknown():
    model = build_sam(TINY_VIT, 128)
    state = model.state_dict()
    state["mask_decoder.extra"] = state.pop("mask_decoder.iou_token.weight")
    with pytest.raises(CheckpointError, match=r"iou_token\.weight; unknown .*decoder\.extra"):
        load_official_state(model, state, origin="a file")
    state = model.state_dict()
    state["mask_decoder.iou_token.weight"] = torch.zeros(2, 256)
    with pytest.raises(CheckpointError, match=r"has shape \(2, 256\), expected \(1, 256\)"):
        load_official_state(model, state, origin="a file")


def test_a_sam_of_another_size_takes_resized_positions():
    large, small = randomise(build_sam(TINY_VIT, 256)), build_sam(TINY_VIT, 128)
    large.image_encoder.pos_embed.data[:] = torch.linspace(0, 1, 16).view(1, 1, 16, 1)
    load_official_state(small, large.state_dict(), origin="a file")
    resized = small.image_encoder.pos_embed
    assert resized.shape == (1, 8, 8, 48)
    expected = torch.linspace(0, 1, 16).view(8, 2).mean(1)
    torch.testing.assert_close(resized[0, 3, 1:-1, 0], expected[1:-1], atol=5e-3, rtol=0)
    assert torch.equal(small.image_encoder.neck[0].weight, large.image_encoder.neck[0].weight)
    with torch.no_grad():
        assert small.image_encoder(torch.zeros(1, 3, 128, 128)).isfinite().all()


class _Payload:
    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_in_a_file_is_executed(tmp_path, capsys):
    path = tmp_path / "weights.pt"
    with path.open("wb") as file:
        pickle.dump({"model": _Payload()}, file)
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        read_official_checkpoint(path)
    torch.save({"image_encoder.pos_embed": _Payload()}, path)
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        read_official_checkpoint(path)
    assert "executed" not in capsys.readouterr().out


def test_refuses_what_is_no_member(tmp_path):
    path = tmp_path / "weights.pt"
    with pytest.raises(CheckpointError, match="no such file"):
        read_official_checkpoint(path)
    torch.save({"layer.weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"holds layer\.weight"):
        read_official_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="expected a dictionary of tensors"):
        read_official_checkpoint(path)
    with pytest.raises(CheckpointError, match="48 channels and 6 blocks is none of SAM's"):
        infer_member(build_sam(TINY_VIT, 128).state_dict(), "a state")


def test_default_positions_follow_global_blocks():
    for spec in VIT_SPECS.values():
        first = spec.default_positions()[0]
        assert first == spec.depth // 4
        assert all(position - 1 in spec.global_blocks for position in spec.default_positions())
