# SPDX-License-Identifier: Apache-2.0
"""The files of a recording: whole ones by `rosbags`, damaged ones as far as they can be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True)
class BagTopic:
    """A topic of a recording.

    Attributes:
        name: with its slash.
        type: as `sensor_msgs/msg/Image`.
        count: messages that can be read.
        definition: of the type, as the recording has it; empty: it has none.
        encoding: of the definition, `ros2msg` or `ros2idl`; empty: there is none.
        qos: what its publishers offered, as rosbag2's YAML; empty: not known.
    """

    name: str
    type: str
    count: int
    definition: str = ""
    encoding: str = ""
    qos: str = ""


class BagMessage(NamedTuple):
    """A message as it was recorded: `data` is CDR, `log_ns` the time of its reception."""

    topic: str
    log_ns: int
    data: bytes


class Storage(Protocol):
    """One file or folder that holds messages."""

    topics: tuple[BagTopic, ...]
    damage: str

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """The messages of some topics, by their time of reception."""

    def close(self) -> None:
        """Closes the file."""


class WholeStorage:
    """A whole file, or a folder with its `metadata.yaml`, read by `rosbags`.

    Raises:
        Exception: whatever the library raises where something is damaged.
    """

    damage = ""

    def __init__(self, path: Path) -> None:
        from rosbags.interfaces import MessageDefinitionFormat
        from rosbags.rosbag2 import Reader
        from rosbags.rosbag2.metadata import dump_qos_v8

        encodings = {
            MessageDefinitionFormat.MSG: "ros2msg",
            MessageDefinitionFormat.IDL: "ros2idl",
        }
        self._reader = Reader(path)
        self._reader.open()
        # A topic may have several publishers, which the library keeps apart.
        found: dict[str, BagTopic] = {}
        for entry in self._reader.connections:
            offered = getattr(entry.ext, "offered_qos_profiles", [])
            before = found[entry.topic].count if entry.topic in found else 0
            found[entry.topic] = BagTopic(
                name=entry.topic,
                type=_full_name(entry.msgtype),
                count=before + entry.msgcount,
                definition=entry.msgdef.data,
                encoding=encodings.get(entry.msgdef.format, ""),
                qos=dump_qos_v8(offered) if offered else "",
            )
        self.topics = tuple(found.values())

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """See `Storage`."""
        wanted = [entry for entry in self._reader.connections if entry.topic in topics]
        if wanted:
            for entry, log_ns, data in self._reader.messages(wanted):
                yield BagMessage(entry.topic, log_ns, data)

    def close(self) -> None:
        """See `Storage`."""
        self._reader.close()


class SalvagedMcap:
    """What can be read of a damaged MCAP file: all chunks that are whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._faults = 0
        self._ended = ""
        found: dict[str, BagTopic] = {}
        for channel, schema, _ in self._records():
            before = found[channel.topic].count if channel.topic in found else 0
            found[channel.topic] = BagTopic(
                name=channel.topic,
                type=_full_name(schema.name),
                count=before + 1,
                definition=schema.data.decode(errors="replace"),
                encoding=schema.encoding,
                qos=channel.metadata.get("offered_qos_profiles", ""),
            )
        self.topics = tuple(found.values())
        chunks = "chunk is" if self._faults == 1 else "chunks are"
        parts = [f"{self._faults} {chunks} damaged"] if self._faults else []
        self.damage = ", ".join([*parts, self._ended] if self._ended else parts)

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """See `Storage`; in the order of the file."""
        for channel, _, message in self._records():
            if channel.topic in topics:
                yield BagMessage(channel.topic, message.log_time, message.data)

    def close(self) -> None:
        """See `Storage`."""

    def _records(self) -> Iterator[tuple[Any, Any, Any]]:
        """Channel, schema and message, one after the other, until nothing more can be read."""
        from mcap.records import Channel, Chunk, Message, Schema

        schemas: dict[int, Any] = {}
        channels: dict[int, Any] = {}
        self._faults, self._ended = 0, ""
        with self._path.open("rb") as file:
            for record in self._top_level(file):
                for part in self._parts(record) if isinstance(record, Chunk) else [record]:
                    if isinstance(part, Schema):
                        schemas[part.id] = part
                    elif isinstance(part, Channel):
                        channels[part.id] = part
                    elif isinstance(part, Message):
                        channel = channels.get(part.channel_id)
                        if channel is None or channel.schema_id not in schemas:
                            continue
                        if channel.message_encoding == "cdr":
                            yield channel, schemas[channel.schema_id], part

    def _top_level(self, file: Any) -> Iterator[Any]:
        from mcap.stream_reader import StreamReader

        # A damaged length must not make a reservation of it.
        largest = self._path.stat().st_size
        records = StreamReader(file, emit_chunks=True, record_size_limit=largest).records
        while True:
            try:
                yield next(records)
            except StopIteration:
                return
            except Exception as error:  # whatever damaged bytes lead to
                self._ended = f"it ends after {file.tell()} bytes ({_reason(error)})"
                return

    def _parts(self, chunk: Any) -> list[Any]:
        from mcap.stream_reader import breakup_chunk

        try:
            return list(breakup_chunk(chunk, validate_crc=True))
        except Exception:  # whatever damaged bytes lead to
            self._faults += 1
            return []


class SalvagedSqlite:
    """What can be read of a damaged rosbag2 database, in its order, until the first fault."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ended = ""
        counts: dict[str, int] = {}
        with closing(self._open()) as database:
            rows = database.execute("SELECT id, name, type FROM topics").fetchall()
        self._names = {number: name for number, name, _ in rows}
        for message in self.messages([name for _, name, _ in rows]):
            counts[message.topic] = counts.get(message.topic, 0) + 1
        self.topics = tuple(BagTopic(name, kind, counts.get(name, 0)) for _, name, kind in rows)
        self.damage = self._ended

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """See `Storage`."""
        query = "SELECT topic_id, timestamp, data FROM messages ORDER BY id"
        with closing(self._open()) as database:
            try:
                for number, log_ns, data in database.execute(query):
                    if self._names.get(number) in topics:
                        yield BagMessage(self._names[number], log_ns, data)
            except sqlite3.DatabaseError as error:
                self._ended = f"its database is damaged ({_reason(error)})"

    def close(self) -> None:
        """See `Storage`."""

    def _open(self) -> sqlite3.Connection:
        uri = f"{self._path.resolve().as_uri()}?mode=ro&immutable=1"
        database = sqlite3.connect(uri, uri=True)
        # Without it, a database that is shorter than its header says is refused as a whole.
        database.execute("PRAGMA writable_schema = ON")
        return database


SALVAGE: dict[str, Callable[[Path], Storage]] = {".mcap": SalvagedMcap, ".db3": SalvagedSqlite}


def _full_name(type_name: str) -> str:
    """`package/msg/Name`, also of a writer that leaves the middle out."""
    package, sign, name = type_name.partition("/")
    return f"{package}/msg/{name}" if sign and "/" not in name else type_name


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
