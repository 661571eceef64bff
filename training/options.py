# SPDX-License-Identifier: Apache-2.0
"""Command-line options of a dataclass: one for each field, said once, where the field is."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import typing
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

Settings = TypeVar("Settings")
_NUMBERS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


def add_options(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup,
    settings: type,
    *,
    leave_out: Collection[str] = (),
    names: Mapping[str, str] | None = None,
    required: bool = True,
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Add an option for each field of a dataclass.

    Types and defaults are the field's; help is what the class's docstring says of it under
    ``Attributes:``. A pair takes two values, another tuple one or more; a bool is a switch.

    Args:
        parser: parser or group.
        settings: the dataclass.
        leave_out: fields without an option.
        names: option names, without dashes, of fields whose option is not called as they are.
        required: fields without a default have to be given.
        defaults: of fields whose default is not the class's.

    Raises:
        TypeError: a field is of a kind that no option can have.
    """
    hints, said = typing.get_type_hints(settings), attribute_texts(settings)
    for field in dataclasses.fields(settings):
        if field.name in leave_out:
            continue
        name = (names or {}).get(field.name, field.name.replace("_", "-"))
        kind = _kind(hints[field.name])
        default = (defaults or {}).get(field.name, field.default)
        has_default = default is not dataclasses.MISSING
        text = said.get(field.name, "").replace("%", "%%")
        if kind.get("action") is None and has_default and default is not None:
            text += f" ({_shown(default)})"
        parser.add_argument(
            f"--{name}",
            dest=field.name,
            default=default if has_default else None,
            required=required and not has_default,
            help=text,
            **kind,
        )


def from_options(settings: type[Settings], options: argparse.Namespace, **given: Any) -> Settings:
    """The dataclass from parsed options; `given` are fields that have no option."""
    values = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(typing.cast(Any, settings))
        if field.name not in given and hasattr(options, field.name)
    }
    plain = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return settings(**plain, **given)


def attribute_texts(settings: type) -> dict[str, str]:
    """What a class's docstring says of each attribute, by name, without the final full stop."""
    _, _, section = (inspect.getdoc(settings) or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if match := re.match(r"    (\w+): (.*)", line):
            name = match[1]
            found[name] = match[2]
        elif name and line.startswith("        "):
            found[name] += " " + line.strip()
        elif line and not line.startswith(" "):
            break
    return {name: text.strip().rstrip(".") for name, text in found.items()}


def _kind(hint: Any) -> dict[str, Any]:
    """Arguments of `add_argument` for a type."""
    if hint is bool:
        return {"action": "store_true"}
    if hint in _NUMBERS:
        return {"type": hint, "metavar": _NUMBERS[hint]}
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"choices": parts}
    if origin is tuple and parts[0] in _NUMBERS:
        count: int | str = "+" if parts[-1] is Ellipsis else len(parts)
        return {"type": parts[0], "nargs": count, "metavar": _NUMBERS[parts[0]]}
    if type(None) in parts:
        return _kind(next(part for part in parts if part is not type(None)))
    raise TypeError(f"expected a number, text, path, bool, Literal or tuple of them, got {hint}")


def _shown(default: Any) -> str:
    return " ".join(str(v) for v in default) if isinstance(default, tuple) else str(default)


# mobile_sam imports timm by its old names, and registers models that timm has by now.
_PACKAGES = r"(timm|mobile_sam)(\.|$)"


def silence_packages() -> None:
    """Ignore the warnings with which the base models' packages greet whoever imports them.

    For commands, before their imports: a library leaves the filters to the program.
    """
    for category in (FutureWarning, UserWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category, module=_PACKAGES)
