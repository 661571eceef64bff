# SPDX-License-Identifier: Apache-2.0
"""Definitions of message types as recordings carry them: those installed, and those of a bag.

A recording's own definition decides how its messages are read: another version of a package has
other fields, and a type need not be installed here at all.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rclpy.serialization import deserialize_message

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.storage import BagTopic

_RULE = "=" * 80
_BUILT_IN = re.compile(r"bool|byte|char|float(32|64)|u?int(8|16|32|64)|w?string")
_FIELD = re.compile(r"^\s*([A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+[A-Za-z]\w*")

Decoder = Callable[[bytes], Any]


def installed_definition(type_name: str) -> str:
    """The definition of an installed type and of all types within, as MCAP's `ros2msg` has it.

    Returns:
        Empty where the type is not installed.
    """
    parts = _with_dependencies(_short(type_name), {})
    if not parts:
        return ""
    first, *others = parts.items()
    return "\n".join(
        [first[1], *(f"{_RULE}\nMSG: {name}\n{text}" for name, text in others)],
    )


def decoder_of(topic: BagTopic) -> Decoder:
    """What makes a message of a topic's bytes.

    The installed type where the recording has the same definition or none, else a plain object
    with the recording's fields.

    Raises:
        InvalidInputError: the type is neither installed nor defined in the recording.
    """
    installed = installed_definition(topic.type)
    defined = topic.encoding == "ros2msg" and bool(topic.definition.strip())
    if installed and not (defined and _fields(topic.definition) != _fields(installed)):
        return installed_decoder(topic.type)
    if not defined:
        raise InvalidInputError(
            f"topic {topic.name} is of type {topic.type}, which is neither installed nor defined "
            "in the recording: build its package in this workspace"
        )
    return _decoder_from_text(topic)


def installed_decoder(type_name: str) -> Decoder:
    """What makes an installed type's message of bytes, whatever the recording says of it."""
    kind = _message_class(type_name)
    return lambda data: deserialize_message(data, kind)


def _decoder_from_text(topic: BagTopic) -> Decoder:
    from mcap.records import Schema
    from mcap_ros2.decoder import DecoderFactory

    schema = Schema(1, topic.definition.encode(), topic.encoding, topic.type)
    try:
        decoder = DecoderFactory().decoder_for("cdr", schema)
    except Exception as error:  # the parser raises many kinds
        raise InvalidInputError(
            f"the recording's definition of {topic.type} cannot be read: {error}"
        ) from error
    if decoder is None:
        raise InvalidInputError(f"the recording's definition of {topic.type} cannot be read")
    return decoder


def _message_class(type_name: str) -> Any:
    package, _, name = _short(type_name).partition("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def _short(type_name: str) -> str:
    """`package/Name` of `package/msg/Name`."""
    return type_name.replace("/msg/", "/")


def _with_dependencies(name: str, found: dict[str, str]) -> dict[str, str]:
    """Definitions by short name, the asked one first; empty where one is not installed."""
    text = _definition_file(name)
    if text is None:
        return {}
    found[name] = text
    for kind in _types_within(text, name.partition("/")[0]):
        if kind not in found and not _with_dependencies(kind, found):
            return {}
    return found


def _definition_file(name: str) -> str | None:
    package, _, short = name.partition("/")
    try:
        file = Path(get_package_share_directory(package)) / "msg" / f"{short}.msg"
        return file.read_text(encoding="utf-8")
    except (OSError, PackageNotFoundError, ValueError):
        return None


def _types_within(text: str, package: str) -> list[str]:
    """Message types of a definition's fields, with their packages."""
    kinds = (match[1] for match in map(_FIELD.match, text.splitlines()) if match)
    others = dict.fromkeys(kind for kind in kinds if not _BUILT_IN.fullmatch(kind))
    return [_short(kind) if "/" in kind else f"{package}/{kind}" for kind in others]


def _fields(definition: str) -> dict[str, tuple[str, ...]]:
    """The fields of each part of a definition, without comments, spaces and constants."""
    parts: dict[str, tuple[str, ...]] = {}
    name = ""
    lines: list[str] = []
    for line in [*definition.splitlines(), f"MSG: {name}"]:
        if line.startswith("MSG:"):
            parts[name] = tuple(lines)
            name, lines = _short(line[4:].strip()), []
        elif _FIELD.match(line) and "=" not in line.partition("#")[0].replace("<=", ""):
            kind, field = line.partition("#")[0].split()[:2]
            lines.append(f"{_short(kind).rpartition('/')[2]} {field}")
    return parts
