# SPDX-License-Identifier: Apache-2.0
"""Our checkpoints: safetensors with what was trained alone, and a header that says for what."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from amodal_ros.errors import CheckpointError, InvalidInputError
from amodal_ros.files import whole_file
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.base_weights import BaseIdentity
from amodal_ros.modeling.config import AmodalConfig

FORMAT = "amodal_ros.adapters"
FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class CheckpointHeader:
    """What a checkpoint says about itself."""

    base: BaseIdentity
    config: AmodalConfig
    training: Mapping[str, Any]


def save_checkpoint(
    path: Path | str,
    model: AmodalModel,
    base: BaseIdentity,
    *,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write what training changes (``model.trainable_state()``); never a half-written file."""
    path = Path(path)
    state = {n: t.detach().cpu().contiguous() for n, t in model.trainable_state().items()}
    header = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "base": json.dumps(asdict(base), sort_keys=True),
        "config": json.dumps(model.config.to_dict(), sort_keys=True),
        "training": json.dumps(dict(training or {}), sort_keys=True),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        save_file(state, unfinished, metadata=header)


def read_header(path: Path | str) -> CheckpointHeader:
    """Read a checkpoint's header without its tensors.

    Raises:
        CheckpointError: The file is missing, unreadable, not ours, or of a newer version.
    """
    metadata = _read_metadata(Path(path))
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: expected a checkpoint of format {FORMAT!r}, got {metadata.get('format')!r}"
        )
    if metadata.get("format_version") != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path}: expected format version {FORMAT_VERSION}, got "
            f"{metadata.get('format_version')!r}"
        )
    try:
        base = BaseIdentity(**json.loads(metadata["base"]))
        config = AmodalConfig.from_dict(json.loads(metadata["config"]))
        training = json.loads(metadata["training"])
    except (KeyError, TypeError, ValueError, InvalidInputError) as error:
        raise CheckpointError(f"{path}: its header cannot be read: {error}") from error
    return CheckpointHeader(base, config, training)


def load_checkpoint(
    path: Path | str,
    model: AmodalModel,
    base: BaseIdentity,
    *,
    more_adapters: bool = False,
    without: Collection[str] = (),
) -> CheckpointHeader:
    """Load a checkpoint into a model that was built on the same base with its configuration.

    Args:
        path: The file.
        model: Built with the header's ``config``; changed in place.
        base: The weights that ``model`` was built on.
        more_adapters: The model may have whole adapters that the file lacks; they stay as they
            are. Untrained ones change nothing, so that the model still computes what the file's
            would.
        without: Names of adapters (keys of ``model.adapters``) that are not taken from the file;
            they too stay as they are.

    Returns:
        The file's header.

    Raises:
        CheckpointError: The base is another one (both are named), tensors do not fit, or an
            adapter to leave out is not in the file or not in the model.
    """
    header = read_header(path)
    if (header.base.member, header.base.state_sha256) != (base.member, base.state_sha256):
        raise CheckpointError(f"{path} was trained on {header.base}, but the model is {base}")
    state = read_tensors(path)
    expected = model.trainable_state()
    for name in without:
        if name not in {_adapter_of(n) for n in state} & {_adapter_of(n) for n in expected}:
            raise CheckpointError(f"{path}: no adapter {name!r} to leave out, or not in the model")
    state = {n: tensor for n, tensor in state.items() if _adapter_of(n) not in without}
    expected = {n: tensor for n, tensor in expected.items() if _adapter_of(n) not in without}
    missing, unknown = sorted(expected.keys() - state), sorted(state.keys() - expected)
    if more_adapters:
        partly = {_adapter_of(name) for name in state}
        missing = [name for name in missing if _adapter_of(name) in {*partly, None}]
    if missing or unknown:
        raise CheckpointError(
            f"{path} does not fit the model: missing tensors {missing[:3]}, "
            f"unknown tensors {unknown[:3]}"
        )
    if other := _otherwise_dilated(header.config, model) - set(without):
        raise CheckpointError(
            f"{path} does not fit the model: of one of the two alone, kernels are dilated in "
            f"{sorted(other)}"
        )
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(tensor.shape)}, "
                f"expected {tuple(expected[name].shape)}"
            )
    model.load_state_dict(state, strict=False)
    model.train(model.training)
    return header


def read_tensors(path: Path | str) -> dict[str, torch.Tensor]:
    """Read a checkpoint's tensors.

    Raises:
        CheckpointError: The file is missing or unreadable.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file: {error}") from error


def _read_metadata(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        with safe_open(str(path), framework="pt") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file: {error}") from error


def _otherwise_dilated(config: AmodalConfig, model: AmodalModel) -> set[str]:
    """Name the adapters of both whose kernels fit in shape, but not in what they look at."""
    other = set(config.dilated_positions) ^ set(model.config.dilated_positions)
    positions = model.config.positions or config.positions  # empty: the member's own
    both = set(config.positions or positions) & set(positions)
    names = zip(positions, model.adapters, strict=False)  # both ascend
    return {name for position, name in names if position in other & both}


def _adapter_of(tensor_name: str) -> str | None:
    """Return the name of the adapter a tensor belongs to; None if it is of the base model."""
    found = re.match(r"adapters\.(\w+)\.", tensor_name)
    return None if found is None else found[1]
