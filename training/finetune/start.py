# SPDX-License-Identifier: Apache-2.0
"""Where fine-tuning starts: a model folder, its adapters and its base weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import file_sha256
from amodal_ros.model_folder.manifest import ModelManifest, load_manifest
from amodal_ros.modeling.checkpoint import CheckpointHeader, read_header
from training.finetune.commands import run_command
from training.finetune.settings import FinetuneSettings

ADAPTERS = "adapters.safetensors"
_SHIPPED = Path(__file__).resolve().parents[1] / "state"
_BASE = Path(__file__).resolve().parents[2] / ".cache" / "base_weights"


@dataclass(frozen=True, eq=False)
class Start:
    """What is known of the older model.

    Attributes:
        folder: the model folder.
        manifest: of it.
        adapters: the file it was exported from.
        header: of that file.
        base: weights of the base model, a file or a folder.
    """

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
