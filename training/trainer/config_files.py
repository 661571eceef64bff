# SPDX-License-Identifier: Apache-2.0
"""From a YAML file and ``key=value`` overrides to a checked :class:`TrainConfig`.

A file may name files to inherit from, ``inherits: [../base.yaml, ../model/sam_vit_b.yaml]``,
relative to itself; they are merged in that order, then the file itself. ``model=NAME`` replaces
the whole model by ``configs/model/NAME.yaml``, and with it the weights it stands on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from amodal_ros.errors import InvalidInputError
from training.trainer.config import TrainConfig, check_config

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
_INHERITS = "inherits"
_MODEL_OVERRIDE = "model="


def load_config(
    path: Path | str, overrides: Sequence[str] = (), *, data_schema: type
) -> TrainConfig:
    """Read a configuration.

    Args:
        path: A YAML file.
        overrides: ``key=value`` with dots between the parts of a key, or ``model=NAME``.
        data_schema: Dataclass that the section ``data`` must fit.

    Returns:
        The configuration; ``data`` is a ``data_schema``.

    Raises:
        InvalidInputError: A file is missing or unreadable, a key is unknown, a value has the wrong
            type, is out of range, or is missing.
    """
    files = _merge_files(Path(path), ())
    models = [o for o in overrides if o.startswith(_MODEL_OVERRIDE)]
    for override in models:
        model_file = CONFIGS / "model" / f"{override[len(_MODEL_OVERRIDE) :]}.yaml"
        files.pop("model", None)
        files = _merged(files, _merge_files(model_file, ()))
    try:
        merged = _merged(_schema(data_schema), files)
        for override in overrides:
            if override not in models:
                _apply(merged, override)
        missing = OmegaConf.missing_keys(merged)
        if missing:
            raise InvalidInputError(f"{path}: no value for {', '.join(sorted(missing))}")
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise InvalidInputError(f"{path}: {_one_line(error)}") from error
    if not isinstance(config, TrainConfig):
        raise InvalidInputError(f"{path}: expected a mapping, got {type(config).__name__}")
    check_config(config)
    return config


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """Return a configuration as plain values that YAML and JSON can hold."""
    plain: dict[str, Any] = _plain(asdict(config))
    return plain


def write_config(path: Path, config: TrainConfig) -> None:
    """Write a configuration that :func:`load_config` reads back."""
    text = yaml.safe_dump(config_to_dict(config), sort_keys=False)
    path.write_text(text, encoding="utf-8")


def changed_keys(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Return ``key: old -> new`` for every value that differs between two configurations."""
    changes: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changes += changed_keys(before, after, f"{prefix}{key}.")
        elif before != after:
            changes.append(f"{prefix}{key}: {before} -> {after}")
    return changes


def read_config_dict(path: Path) -> dict[str, Any]:
    """Read what :func:`write_config` wrote, unchecked.

    Raises:
        InvalidInputError: It is missing or no mapping.
    """
    values = OmegaConf.to_container(_read(path))
    if not isinstance(values, dict):
        raise InvalidInputError(f"{path}: expected a mapping, got {type(values).__name__}")
    return {str(key): value for key, value in values.items()}


def _schema(data_schema: type) -> DictConfig:
    schema = OmegaConf.structured(TrainConfig)
    schema.data = OmegaConf.structured(data_schema)
    return schema


def _merge_files(path: Path, seen: tuple[Path, ...]) -> DictConfig:
    """Read a file and those that it inherits from."""
    path = path.resolve()
    if path in seen:
        raise InvalidInputError(f"{path} inherits from itself: {[p.name for p in (*seen, path)]}")
    content = _read(path)
    parents = content.pop(_INHERITS, [])
    if isinstance(parents, str):
        parents = [parents]
    merged = OmegaConf.create({})
    for parent in parents:
        merged = _merged(merged, _merge_files(path.parent / str(parent), (*seen, path)))
    return _merged(merged, content)


def _merged(first: DictConfig, second: DictConfig) -> DictConfig:
    merged = OmegaConf.merge(first, second)
    if not isinstance(merged, DictConfig):
        raise InvalidInputError(f"expected mappings, got {type(merged).__name__}")
    return merged


def _read(path: Path) -> DictConfig:
    try:
        content = OmegaConf.load(path)
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInputError(f"{path}: not a readable configuration: {error}") from error
    if not isinstance(content, DictConfig):
        raise InvalidInputError(f"{path}: expected a mapping, got {type(content).__name__}")
    return content


def _apply(config: DictConfig, override: str) -> None:
    """Set one value; ``data.sources[0].path=...`` reaches into lists."""
    key, equals, text = override.partition("=")
    if not key or not equals:
        raise InvalidInputError(f"an override is key=value, got {override!r}")
    value = OmegaConf.from_dotlist([f"value={text}"])["value"]
    OmegaConf.update(config, key, value)


def _one_line(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value
