# SPDX-License-Identifier: Apache-2.0
"""Where fine-tuning starts: a model folder, its adapters and its base weights.

A short run at a low rate moves the adapters along a straight way on which the models between its
ends work too (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022): they keep more of
what the older one knows, and have some of what the newer one learnt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from amodal_ros.errors import CheckpointError, InvalidInputError
from amodal_ros.files import file_sha256, whole_file
from amodal_ros.model_folder.manifest import ModelManifest, load_manifest
from amodal_ros.modeling.checkpoint import CheckpointHeader, read_header, read_tensors
from training.finetune.settings import FinetuneSettings
from training.worker_processes import run_command

ADAPTERS = "adapters.safetensors"
_SHIPPED = Path(__file__).resolve().parents[1] / "state"
_BASE = Path(__file__).resolve().parents[2] / ".cache" / "base_weights"


@dataclass(frozen=True, eq=False)
class Start:
    """What is known of the older model."""

    folder: Path
    manifest: ModelManifest
    adapters: Path
    header: CheckpointHeader
    base: Path


def find_start(settings: FinetuneSettings) -> Start:
    """Find all that belongs to the model folder.

    Raises:
        ManifestError: it is no model folder.
        InvalidInputError: its adapters or base weights cannot be found.
        CheckpointError: the adapters cannot be read.
    """
    folder = settings.model_folder
    manifest = load_manifest(folder)
    digest = manifest.source.get("adapter_sha256")
    if not isinstance(digest, str):
        raise InvalidInputError(
            f"{folder}: expected a model with trained adapters, its manifest names none"
        )
    adapters = _adapters(folder, settings.adapters, digest)
    header = read_header(adapters)
    return Start(folder, manifest, adapters, header, _base(settings, header))


def _adapters(folder: Path, given: Path | None, digest: str) -> Path:
    candidates = _candidates(folder) if given is None else iter([given])
    for path in candidates:
        if path.is_file() and file_sha256(path) == digest:
            return path
    if given is not None:
        raise InvalidInputError(
            f"--adapters: {given} is not the file that {folder} was exported from (expected "
            f"sha256 {digest})"
        )
    raise InvalidInputError(
        f"the adapters that {folder} was exported from are neither beside it nor in {_SHIPPED}; "
        f"expected --adapters with their file (sha256 {digest})"
    )


def _candidates(folder: Path) -> Iterator[Path]:
    yield folder.resolve().parent / ADAPTERS  # as this command leaves them
    yield from sorted(_SHIPPED.glob("*.safetensors"))


def _base(settings: FinetuneSettings, header: CheckpointHeader) -> Path:
    if settings.base is not None:
        if not settings.base.exists():
            raise InvalidInputError(f"--base: {settings.base} does not exist")
        return settings.base
    if header.base.member != "mobile_sam":
        raise InvalidInputError(f"--base: expected the weights of {header.base.name}, got none")
    run_command("export.fetch_base_weights")  # says what is wrong; does nothing where all is there
    return _BASE


def write_between(older: Path, newer: Path, share: float, out: Path) -> None:
    """Write the adapters at a share of the way from the older to the newer ones.

    Args:
        older: checkpoint, `*.safetensors`.
        newer: likewise, trained from it.
        share: 0 gives the older, 1 the newer.
        out: file to write; its header is the newer one's, and says the share.

    Raises:
        CheckpointError: the two do not hold the same tensors.
    """
    first, second = read_tensors(older), read_tensors(newer)
    if first.keys() != second.keys():
        odd = sorted(first.keys() ^ second.keys())[:3]
        raise CheckpointError(f"{newer}: expected the tensors of {older}, differs in {odd}")
    mixed = {
        name: ((1 - share) * first[name].float() + share * tensor.float())
        .to(tensor.dtype)
        .contiguous()
        for name, tensor in second.items()
    }
    with safe_open(str(newer), framework="pt") as file:
        header = dict(file.metadata() or {})
    training = {**json.loads(header["training"]), "share_of_the_way": share}
    header["training"] = json.dumps(training, sort_keys=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as unfinished:
        save_file(mixed, unfinished, metadata=header)
